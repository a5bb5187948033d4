"""Runs without a gate: processes stop at scheduling points, and wait for each other in the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import uvloop

from pgweave.interleavings.execution import Chooser, Execution, SchedulingError, Situation
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.explore import explore
from pgweave.interleavings.footprint import NOTHING, WAITED, Access, Footprint, Lock, Mode, Rows
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from pgweave.scheduler import Body, Conditions, Limits, Process, Run

T = TypeVar("T")
LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)


def rows(name: str) -> Rows:
    return Rows("table", {"id": name})


def read(name: str) -> Footprint:
    return Footprint.of(Access(Mode.READ, rows(name)))


def take(name: str) -> Footprint:
    return Footprint.of(Access(Mode.LOCK, rows(name), Lock.UPDATE))


def give(name: str) -> Footprint:
    return Footprint.of(Access(Mode.RELEASE, rows(name), Lock.UPDATE))


def write(name: str) -> Footprint:
    return take(name) | Footprint.of(Access(Mode.PUBLISH, rows(name)))


def run_in(make_loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main)


def perform(bodies: Sequence[Body], schedule: Sequence[int], **options: Any) -> Execution:
    """Run a schedule, and let the first that is ready go on after it."""

    async def main() -> Execution:
        return await Run([(f"body {n}", body) for n, body in enumerate(bodies)], **options)(
            following(schedule)
        )

    return run_in(asyncio.new_event_loop, main())


def following(schedule: Sequence[int]) -> Chooser:
    left = list(schedule)

    def choose(situation: Situation) -> int:
        process = left.pop(0) if left else min(situation.ready)
        assert process in situation.ready, f"{process} is not ready: {situation}"
        return process

    return choose


@dataclass
class Counter:
    """A counter that processes raise by one, reading it in one step and writing it in the next."""

    value: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add_unlocked(self, process: Process) -> None:
        await process.point("read", read("counter"))
        seen = self.value
        await process.point("write", write("counter"))
        self.value = seen + 1

    async def add_locked(self, process: Process) -> None:
        await process.point("lock", take("counter"))
        async with self.lock:
            seen = self.value
            await process.point("write", write("counter"))
            self.value = seen + 1
            await process.point("unlock", give("counter"))


@dataclass
class CounterProgram:
    """Some processes that each raise a counter; the result is what it comes to."""

    processes: int
    add: Callable[[Counter, Process], Coroutine[Any, Any, None]]

    async def run(self, choose: Chooser) -> Execution:
        counter = Counter()

        async def body(process: Process) -> None:
            await self.add(counter, process)

        execution = await Run([("add", body)] * self.processes, limits=Limits(stall=10))(choose)
        return Execution(execution.steps, execution.complete, counter.value)


def values_of(program: CounterProgram, strategy: Strategy) -> tuple[Report, list[int]]:
    found: list[int] = []

    async def main() -> Report:
        return await explore(program, strategy, on_execution=lambda run, _plan: found.append(run.result))

    return run_in(uvloop.new_event_loop, main()), found


# ---- exploration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [2, 3])
def test_a_lost_update_is_found_without_the_lock_and_none_with_it(processes: int) -> None:
    _, unlocked = values_of(CounterProgram(processes, Counter.add_unlocked), SourceDPOR())
    assert set(unlocked) == set(range(1, processes + 1))
    _, locked = values_of(CounterProgram(processes, Counter.add_locked), SourceDPOR())
    assert set(locked) == {processes}


@pytest.mark.parametrize(
    ("add", "every", "classes"), [(Counter.add_unlocked, 6, 4), (Counter.add_locked, 6, 6)]
)
def test_counts_of_two_processes(
    add: Callable[[Counter, Process], Coroutine[Any, Any, None]], every: int, classes: int
) -> None:
    program = CounterProgram(2, add)
    naive, all_values = values_of(program, Naive())
    reduced, values = values_of(program, SourceDPOR())
    assert (naive.schedules, reduced.schedules, reduced.abandoned) == (every, classes, 0)
    assert naive.complete
    assert reduced.complete
    assert set(values) == set(all_values)


# ---- who waits, and who is woken -----------------------------------------------------------------


def test_a_process_waits_for_the_lock_and_is_woken_when_it_is_given_back() -> None:
    counter = Counter()
    run = perform([counter.add_locked, counter.add_locked], [0, 1, 0, 0, 1, 1])
    assert [(step.process, step.label, step.blocked, step.woke) for step in run.steps] == [
        (0, "lock", False, ()),
        (1, "lock", True, ()),
        (0, "write", False, ()),
        (0, "unlock", False, (1,)),
        (1, "write", False, ()),
        (1, "unlock", False, ()),
    ]
    assert run.complete
    assert counter.value == 2


def test_a_step_that_wakes_touches_what_it_completes_and_one_that_waits_says_so() -> None:
    counter = Counter()
    situations: list[Situation] = []
    follow = following([0, 1, 0, 0])

    def choose(situation: Situation) -> int | None:
        situations.append(situation)
        return follow(situation)

    async def main() -> Execution:
        bodies: list[tuple[str, Body]] = [("add", counter.add_locked)] * 2
        return await Run(bodies)(choose)

    run = run_in(asyncio.new_event_loop, main())
    assert run.steps[1].touched == take("counter") | WAITED
    assert situations[2].touched == take("counter") | WAITED
    assert situations[2].blocked == {1}
    # The write gives nothing back, so it can wake nobody; the unlocking can, and it is known beforehand.
    assert situations[2].ready[0].footprint == write("counter")
    assert situations[3].ready[0].footprint == give("counter") | take("counter")
    assert run.steps[3].footprint == give("counter") | take("counter")


def test_an_answer_belongs_to_the_step_that_woke() -> None:
    lock = asyncio.Lock()

    async def hold(process: Process) -> None:
        await process.point("lock", take("row"))
        async with lock:
            await process.point("unlock", give("row"))

    async def wait(process: Process) -> None:
        operation = process.begin("wait")
        await process.point("lock", take("row"))
        async with lock:
            process.end(operation, "granted")

    runs: list[Run] = []

    async def main() -> Execution:
        runs.append(Run([("hold", hold), ("wait", wait)]))
        return await runs[0](following([0, 1, 0]))

    run = run_in(asyncio.new_event_loop, main())
    assert run.steps[2].woke == (1,)
    (operation,) = runs[0].processes[1].operations
    assert (operation.first, operation.last, operation.answered) == (1, 1, 2)


def test_one_step_may_wake_several() -> None:
    event = asyncio.Event()

    async def wait(process: Process) -> None:
        await process.point("wait", take("event"))
        await event.wait()

    async def announce(process: Process) -> None:
        await process.point("announce", give("event"))
        event.set()

    run = perform([wait, announce, wait], [2, 0, 1])
    assert [(step.process, step.blocked, step.woke) for step in run.steps] == [
        (2, True, ()),
        (0, True, ()),
        (1, False, (0, 2)),
    ]


def test_a_process_may_wait_before_its_first_step() -> None:
    event = asyncio.Event()

    async def wait(process: Process) -> None:
        await event.wait()
        await process.point("after", NOTHING)

    async def announce(process: Process) -> None:
        await process.point("announce", NOTHING)
        event.set()

    run = perform([wait, announce], [1, 0])
    assert [(step.label, step.woke) for step in run.steps] == [("announce", (0,)), ("after", ())]


def test_a_process_that_yields_often_does_not_wait() -> None:
    turns = 40

    async def busy(process: Process) -> None:
        for number in range(2):
            await process.point(str(number), NOTHING)
            for _ in range(turns):
                await asyncio.sleep(0)

    patient = perform([busy], [], limits=Limits(stall=turns + 5))
    assert [step.blocked for step in patient.steps] == [False, False]
    with pytest.raises(SchedulingError, match="everybody waits"):
        perform([busy], [], limits=Limits(stall=turns // 4))


def test_footprints_of_points_have_the_names_of_values_that_are_new_in_each_run() -> None:
    async def body(process: Process) -> None:
        await process.point("read", read("7f3a"))

    run = perform([body], [], conditions=Conditions({"7f3a": "the row"}))
    assert run.steps[0].footprint == read("the row")


# ---- ends ----------------------------------------------------------------------------------------


def test_a_deadlock_is_told_at_once_and_leaves_nobody_behind() -> None:
    first, second = asyncio.Lock(), asyncio.Lock()
    cancelled: list[str] = []

    def both(one: asyncio.Lock, other: asyncio.Lock, name: str) -> Body:
        async def body(process: Process) -> None:
            try:
                await process.point("one", NOTHING)
                async with one:
                    await process.point("other", NOTHING)
                    async with other:
                        pass
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        return body

    started = time.perf_counter()
    with pytest.raises(SchedulingError) as raised:
        perform([both(first, second, "a"), both(second, first, "b")], [0, 1, 0, 1])
    assert time.perf_counter() - started < Limits().step / 2
    assert str(raised.value).splitlines() == [
        "everybody waits, and nobody can let another go on",
        "  process 0 (body 0): waits inside the service",
        "  process 1 (body 1): waits inside the service",
    ]
    assert cancelled == ["a"]  # then the other has what it waited for
    assert not first.locked()
    assert not second.locked()


def test_an_interrupt_while_a_run_is_ended_is_not_lost() -> None:
    async def main() -> None:
        ending = asyncio.Event()

        async def lingering(_process: Process) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ending.set()
                await asyncio.sleep(0.2)

        run = asyncio.ensure_future(Run([("lingering", lingering)])(following([])))
        await ending.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    run_in(asyncio.new_event_loop, main())


def test_an_abandoned_run_goes_to_its_end_unscheduled() -> None:
    counter = Counter()

    async def main() -> Execution:
        bodies: list[tuple[str, Body]] = [("add", counter.add_locked)] * 3
        return await Run(bodies)(lambda situation: 0 if situation.depth == 0 else None)

    run = run_in(asyncio.new_event_loop, main())
    assert (run.complete, len(run.steps)) == (False, 1)
    assert counter.value == 3
    assert not counter.lock.locked()


def test_what_a_body_raises_is_raised() -> None:
    async def body(process: Process) -> None:
        await process.point("fail", NOTHING)
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        perform([body], [])


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_run_is_the_same_each_time_on_either_event_loop(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    program = CounterProgram(3, Counter.add_locked)
    schedule = [2, 0, 1, 2, 2, 0, 0, 1, 1]

    async def main() -> list[Execution]:
        return [await program.run(following(schedule)) for _ in range(50)]

    runs = run_in(make_loop, main())
    assert all(run == runs[0] for run in runs)
    assert [step.woke for step in runs[0].steps] == [(), (), (), (), (0,), (), (1,), (), ()]
