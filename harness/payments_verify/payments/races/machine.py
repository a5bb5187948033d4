"""The stateful machine with races: Hypothesis draws who sends what at once, and whose statement is next.

Between races the gate is open, and the machine does what it does on every system. A race takes payments as
they stand: new ones are brought to the same records, so that a race can be run again when the database served
those who waited out of turn, and so that what is printed is all that was run. The model judges its answers in
the strictest order of real time, and the machine goes on from where the linearization leaves the payments.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import consumes, invariant, precondition, rule

from payments_model import Authorized
from payments_verify.payments.inputs.classes import AMOUNTS as ENDS
from payments_verify.payments.inputs.reach import classes_of_record
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.programs.machine import AMOUNTS, PAYMENTS, PaymentMachine
from payments_verify.payments.programs.run import run_programs
from payments_verify.payments.programs.tally import SHRINKING_LIMIT_S, Tally
from payments_verify.payments.races.domain import void
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.preparation import can_be_commanded, commands_leading_to
from payments_verify.payments.races.runner import RaceRunner
from payments_verify.payments.races.shrinking import FailingRace, shrink_race
from payments_verify.payments.races.source import answer_of, source_of_test
from payments_verify.payments.races.strategies import drawn_races
from payments_verify.payments.scenarios.catalogue import Actor, Client, Sweeper, Tick
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.specification.steps import PaymentState
from payments_verify.result import Progress
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.minimize import switches
from pgweave.interleavings.segments import FollowSegments
from pgweave.visible import counted

_MOSTLY = st.sampled_from([True, True, True, False])
_RACED_AMOUNTS = AMOUNTS | st.sampled_from([amount for amounts in ENDS.values() for amount in amounts])


class RaceMismatchError(MismatchError):
    """The model does not explain a race.

    Attributes:
        race: the race.
        program: a test that runs it again, as Python source.
    """

    def __init__(self, race: FailingRace) -> None:
        self.race = race
        self.program = source_of_test(race.before, race.actors, race.execution)
        super().__init__(f"{race.violation.explanation}\n\nThis test runs the race again:\n\n{self.program}")


@dataclass
class RaceTally(Tally):
    """How much a run with races has exercised.

    Attributes:
        races: races that were judged.
        counts: what was in them: ``clients``, ``commands``, ``ticks``, ``sweeps``, ``statements``,
            ``switches`` between actors, ``waits`` for locks.
        race_outcomes: how often each command of a race had each outcome.
        repeated: runs of races that could not be used and were made again.
        rejected: races that could not be run; their programs count for nothing.
        unrepeatable: whether a program did otherwise when it was run again, which ended the run.
        problem: why the last race could not be run, or how the program did otherwise.
    """

    races: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    race_outcomes: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    rejected: int = 0
    unrepeatable: bool = False
    problem: str | None = None

    def add(self, actors: Sequence[Actor], execution: Execution) -> None:
        """Count a race that was judged."""
        self.races += 1
        self.counts.update(contents(actors))
        self.counts["statements"] += len(execution.steps)
        self.counts["switches"] += switches(execution.schedule)
        self.counts["waits"] += sum(step.blocked for step in execution.steps)
        for operation in execution.result.operations:
            self.race_outcomes[f"{operation.value.f} -> {answer_of(operation)}"] += 1


def contents(actors: Sequence[Actor]) -> dict[str, int]:
    """How many clients, commands, ticks and sweeps there are."""
    clients = [actor for actor in actors if isinstance(actor, Client)]
    return {
        "clients": len(clients),
        "commands": sum(len(client.commands) for client in clients),
        "ticks": sum(isinstance(actor, Tick) for actor in actors),
        "sweeps": sum(isinstance(actor, Sweeper) for actor in actors),
    }


class ConcurrentMachine(PaymentMachine):
    """Commands one after the other, and races. Subclasses name the runner of races."""

    tally: RaceTally
    race_runner: RaceRunner

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._has_raced = False
        super().__init__()

    @rule(data=st.data(), first=PaymentMachine.payments, second=PaymentMachine.payments)
    def race(self, data: st.DataObject, first: str, second: str) -> None:
        """Some clients at once on one payment or two, statement by statement in the order drawn."""
        names = list(dict.fromkeys([first, second]))
        if all(can_be_commanded(self.records[name]) for name in names):
            self._race(data, names)

    @precondition(lambda self: len(self.records) < PAYMENTS)
    @rule(target=PaymentMachine.payments, data=st.data(), amount=_RACED_AMOUNTS, authorized=_MOSTLY)
    def race_for_a_new_payment(self, data: st.DataObject, amount: int, authorized: bool) -> str:
        """The same, on a payment that has just been created or authorized."""
        payment = self.authorized(amount) if authorized else self._create(amount)
        self._race(data, [payment])
        return payment

    @precondition(lambda self: len(self.records) < PAYMENTS)
    @rule(target=PaymentMachine.payments, data=st.data(), amount=_RACED_AMOUNTS)
    def race_while_the_window_ends(self, data: st.DataObject, amount: int) -> str:
        """The same, while the clock comes to the end of its window."""
        payment = self.authorized(amount)
        self._race(data, [payment], window_ends=True)
        return payment

    # A rule of several names is drawn more often.
    race_2 = race
    race_for_a_new_payment_2 = race_for_a_new_payment
    race_while_the_window_ends_2 = race_while_the_window_ends

    def _race(self, data: st.DataObject, names: list[str], *, window_ends: bool = False) -> None:
        amounts = [self._amount(name) for name in names]
        instances = len(self.system.clients)
        races = drawn_races(amounts, window_ends=window_ends, instances=instances)
        drawn = data.draw(races, label="race")
        if any(isinstance(actor, Sweeper) for actor in drawn.actors):
            # A sweep takes whatever is due.
            names += [name for name in self.records if name not in names and self._is_authorized(name)]
        start, before = commands_leading_to([self.records[name] for name in names], self.now)
        self._void(name for name in names if self._is_authorized(name))
        try:
            execution, judged = self.runner.run(
                self.race_runner.run(before, drawn.actors, FollowSegments(drawn.segments), start)
            )
        except (DivergenceError, SchedulingError) as error:
            self.tally.rejected += 1
            self.tally.problem = str(error)
            reject()
        finally:
            self.tally.repeated = self.race_runner.repeated
        self.tally.add(drawn.actors, execution)
        if isinstance(judged, Violation):
            self.runner.run(void(self.race_runner.service, execution.result.payments))
            raise self.tally.kept(
                RaceMismatchError(FailingRace(before, drawn.actors, execution, judged, start))
            )
        self._go_on_from(names, execution, judged)

    @rule(payment=consumes(PaymentMachine.payments))
    def forget(self, payment: str) -> None:
        """Use the payment no more, and leave nothing of it that a sweep could find."""
        self._void([payment])
        del self.records[payment]

    @invariant()
    def everything_visible_agrees(self) -> None:
        """After a race, all that can be seen; after one command, its answer is enough in this machine."""
        if self._has_raced:
            self._has_raced = False
            super().everything_visible_agrees()

    def teardown(self) -> None:
        """Leave nothing that a sweep in another program could find."""
        self._void(name for name in self.records if self._is_authorized(name))

    def _go_on_from(
        self, names: Sequence[str], execution: Execution, ends: Mapping[str, PaymentState]
    ) -> None:
        self._has_raced = True
        self.trace.miss()
        self.now = execution.result.now
        self.bodies = {place: body for place, body in self.bodies.items() if place[0] not in names}
        for name, payment in zip(names, execution.result.payments, strict=True):
            self._ids[name] = payment
            self.tally.inputs.update(classes_of_record(self.records[name], ends[payment].record))
            self.records[name] = ends[payment].record
            self.bodies |= {(name, key): body for key, body in ends[payment].bodies}

    def _void(self, names: Iterable[str]) -> None:
        self.runner.run(void(self.race_runner.service, [self._ids.get(name, name) for name in names]))

    def _is_authorized(self, name: str) -> bool:
        return isinstance(self.records[name].payment, Authorized)

    def _amount(self, name: str) -> int:
        payment = self.records[name].payment
        assert payment is not None
        return payment.amount

    def _send(self, invocation: Invocation, expected: Mapping[str, Any]) -> Mapping[str, Any]:
        payment = self._ids.get(invocation.value["payment"], invocation.value["payment"])
        return super()._send(replace(invocation, value={**invocation.value, "payment": payment}), expected)


def run_concurrent_machine(
    service: ServiceUnderTest,
    runner: asyncio.Runner,
    *,
    examples: int,
    steps: int,
    seed: int | None = None,
    progress: Progress | None = None,
    tally: RaceTally | None = None,
) -> tuple[RaceTally, MismatchError | None]:
    """Run the machine with races until it has shown ``examples`` programs or found a mismatch.

    Args:
        service: the service behind its gate, open in the runner's loop.
        runner: runs the service's coroutines.
        examples: programs to try.
        steps: commands and races in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew each time.
        progress: is told of each program as it begins.
        tally: where what is exercised is counted; a new one if not given.

    Returns:
        What was exercised, and the mismatch if there is one, with the shortest program found in its notes.
    """
    tally = tally or RaceTally()
    if progress is not None:
        tally.on_example = lambda: progress(
            tally.examples, examples, f"programs, {counted(tally.races, 'race')}"
        )
    race_runner = RaceRunner(service)
    attributes = {
        "system": service,
        "runner": runner,
        "tally": tally,
        "race_runner": race_runner,
    }
    machine = type("Machine", (ConcurrentMachine,), attributes)
    try:
        failure = run_programs(machine, examples=examples, steps=steps, seed=seed)
    except Flaky as error:
        tally.unrepeatable, tally.problem = True, f"{error}"
        return tally, None
    tally.smallest = failure
    if isinstance(failure, RaceMismatchError):
        runner.run(_minimize(failure, race_runner, tally))
        failure = tally.smallest
    return tally, failure


async def _minimize(failure: RaceMismatchError, race_runner: RaceRunner, tally: RaceTally) -> None:
    """Make a wrong race smaller; at each moment the smallest so far is known."""

    def keep(race: FailingRace) -> None:
        tally.smallest = RaceMismatchError(race)
        for note in getattr(failure, "__notes__", ()):
            tally.smallest.add_note(note)

    with suppress(TimeoutError):
        async with asyncio.timeout(SHRINKING_LIMIT_S):
            await shrink_race(failure.race, race_runner, keep)
