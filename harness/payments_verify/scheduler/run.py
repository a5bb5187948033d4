"""One run: every process is brought to its first step; then one after the other takes a step, as chosen.

Only one process runs at a time, so that a statement that appears on a connection that nobody uses belongs to
it. A statement is never held back because it *would* block: it is sent, found to wait, and the next process
is chosen. When a step lets waiting statements go on, their answers stay in the gate until the step's own
process has come to rest; then they are handed over, one process at a time.

Without a gate the processes stop at scheduling points alone, and wait for each other inside the event loop.
Whoever has not come to rest when the loop has turned often enough and nothing has come of it, waits. No real
time passes, and what happens depends on the choices alone, unless the processes themselves wait for time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from payments_verify.gate import Fault, HeldStatement, Session
from payments_verify.gate.proxy import PassAll
from payments_verify.interleavings.execution import (
    Chooser,
    DivergenceError,
    Execution,
    Pending,
    SchedulingError,
    Situation,
    Step,
)
from payments_verify.interleavings.footprint import EVERYTHING, WAITED, Footprint, Mode, union
from payments_verify.scheduler.database import GatedDatabase
from payments_verify.scheduler.process import Body, Point, Process, State, current_process
from payments_verify.scheduler.turns import Turns
from payments_verify.sql.footprints import READ_CLOCK
from payments_verify.sql.transactions import TransactionFootprint
from payments_verify.sql.values import sent_forms

_POLL_S = 0.002
_DEADLOCK_DETECTED = "40P01"
_VICTIM_LOOKS_S = 1.0
_WAITING = (State.BLOCKED, State.STALLED)


@dataclass(frozen=True)
class Limits:
    """How long a run waits.

    Attributes:
        step: seconds for a process to come to rest; past it the run fails.
        stall: how often a process that waits for nothing in the database is looked at before it counts as
            waiting inside the service: every 2 ms with a gate, at each turn of the event loop without. Looks
            are counted, not time: a service that computes for long is not waiting.
    """

    step: float = 10.0
    stall: int = 1_000


@dataclass(frozen=True)
class Conditions:
    """What is particular to a run.

    Attributes:
        names: for ids that are new in each run, those that footprints have in their place. So a statement has
            the same footprint in each run, and is analysed once.
        start_is_read: whether some statement asks when its transaction began; then ``BEGIN`` reads the clock.
        faults: what goes wrong at which statement: by process, and the statement's number from 0.
    """

    names: Mapping[Hashable, Hashable] = field(default_factory=dict)
    start_is_read: bool = False
    faults: Mapping[tuple[int, int], Fault] = field(default_factory=dict)


class Run:
    """A run of some processes through a gate.

    Args:
        bodies: what each process does, by name.
        database: where their statements appear; ``None`` if they stop at scheduling points alone.
        limits: how long to wait.
        conditions: what is particular to this run.
    """

    def __init__(
        self,
        bodies: Sequence[tuple[str, Body]],
        database: GatedDatabase | None = None,
        *,
        limits: Limits | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self._bodies = bodies
        self._gate = None if database is None else database.gate
        self._monitor = None if database is None else database.monitor
        self._catalog = None if database is None else database.catalog
        self._turns = Turns(ours=False) if database is None else database.turns
        self._conditions = conditions or Conditions()
        self._sent_names = sent_forms(self._conditions.names)
        self._dying: list[int] = []
        self._limits = limits or Limits()
        self._steps: list[Step] = []
        self._running: Process | None = None
        self._footprints: dict[HeldStatement | Point, Footprint] = {}
        self._transactions: dict[Session, TransactionFootprint] = {}
        self.processes = [
            Process(index, name, lambda: len(self._steps) + self._in_step)
            for index, (name, _) in enumerate(bodies)
        ]
        self._in_step = 0
        self._queue: list[Process] = []
        self.start_was_read = False
        self.strays: list[str] = []
        self.injected = 0

    async def __call__(self, choose: Chooser) -> Execution:
        """Perform the run.

        Raises:
            SchedulingError: a process neither came to rest nor ended within the limits.
        """
        if self._gate is not None:
            self._gate.observer = self
        try:
            for process, (_, body) in zip(self.processes, self._bodies, strict=True):
                self._start(process, body)
                await self._settle(process)
            complete = await self._schedule(choose)
        finally:
            await self._drain()
        for process in self.processes:
            assert process.task is not None
            process.task.result()
        return Execution(tuple(self._steps), complete)

    # ---- the gate's observer ---------------------------------------------------------------------

    def controls(self, session: Session) -> bool:
        """Every statement of a process is held; one that nobody can have sent passes, and is noted."""
        if not isinstance(session.owner, Process) or session.owner not in self.processes:
            session.owner = self._running
            if self._running is None:
                self.strays.append(str(session))
                return False
            self._running.sessions.add(session)
        return True

    def held(self, statement: HeldStatement) -> None:
        """A process has come to its next step."""
        process = self._owner(statement.session)
        process.parked.append(statement)
        process.changed()

    def answered(self, statement: HeldStatement) -> None:
        """The database has answered a process."""
        session = statement.session
        process = session.owner if isinstance(session.owner, Process) else None
        transaction = self._transaction(session)
        failed = statement.error is not None
        touched = transaction.executed(statement.sql, statement.values, failed=failed)
        self.start_was_read = self.start_was_read or transaction.start_read_clock
        if process is not None and process.waiting is statement:
            process.footprint |= touched
            if statement.error is not None and statement.error.get("C") == _DEADLOCK_DETECTED:
                process.footprint |= WAITED  # who came to wait last decides whom a deadlock ends
            process.waiting = None
            process.changed()

    def ended(self, session: Session) -> None:
        """A connection has closed, and with it ends what it had not committed."""
        transaction = self._transactions.pop(session, None)
        self._dying.append(session.pid)
        if transaction is not None and isinstance(session.owner, Process):
            session.owner.footprint |= transaction.end(commit=False)
        if isinstance(session.owner, Process):
            session.owner.forget(session)
            if session.owner.waiting is not None and session.owner.waiting.session is session:
                session.owner.waiting = None
            session.owner.changed()

    # ---- the schedule ----------------------------------------------------------------------------

    def _start(self, process: Process, body: Body) -> None:
        async def tell_the_end() -> None:
            current_process.set(process)
            try:
                await body(process)
            finally:
                process.changed()

        self._running = process
        process.task = asyncio.get_running_loop().create_task(tell_the_end(), name=str(process))
        process.task.add_done_callback(lambda _task: process.changed())

    async def _schedule(self, choose: Chooser) -> bool:
        last = None
        while True:
            await self._look_after_waiting(released=False)
            ready = {p.index: self._pending(p) for p in self.processes if p.state is State.READY}
            if not ready:
                if all(process.state is State.DONE for process in self.processes):
                    return True
                await self._await_anybody()
                continue
            waiting = frozenset(p.index for p in self.processes if p.state in _WAITING)
            touched = self._steps[-1].touched if self._steps else None
            last = choose(Situation(len(self._steps), ready, waiting, last, touched))
            if last is None:
                return False
            await self._step(self.processes[last])

    async def _step(self, process: Process) -> None:
        parked = process.parked.popleft()
        own = self._footprint(parked)
        process.begin_step(len(self._steps))
        process.state = State.RUNNING
        self._in_step = 1
        self._running = process
        process.footprint = own
        if isinstance(parked, HeldStatement):
            process.waiting = parked
            if len(self._queue) > 1:
                self._turns.stop(_pid(waiting) for waiting in self._queue)
            await self._send(process, parked)
        else:
            parked.release()
        await self._settle(process)
        blocked = process.state in _WAITING
        touched = [process.footprint]
        woke = await self._look_after_waiting(
            released=any(map(_releases, touched)), touched=touched, but=process
        )
        self._running = None
        self._in_step = 0
        self._steps.append(
            Step(process.index, _label(parked), union(touched), blocked, tuple(woke), _details(parked))
        )

    async def _send(self, process: Process, statement: HeldStatement) -> None:
        """Let a statement go, or let happen to it what is to happen."""
        fault = self._conditions.faults.get((process.index, process.statements))
        process.statements += 1
        if fault is None:
            statement.release()
            return
        self.injected += 1
        process.footprint = EVERYTHING
        if fault is Fault.TERMINATED:
            assert self._monitor is not None
            await self._monitor.terminate(statement.session.pid)
        if not statement.session.closed:
            statement.release(fault)

    async def _await_dead(self) -> bool:
        """Wait until the server processes of closed connections have ended; whether there were any."""
        dying, self._dying = self._dying, []
        deadline = asyncio.get_running_loop().time() + self._limits.step
        for pid in dying:
            while self._monitor is not None and await self._monitor.is_alive(pid):
                if asyncio.get_running_loop().time() > deadline:
                    raise SchedulingError(f"server process {pid} lives on after its connection has closed")
        return bool(dying)

    async def _settle(self, process: Process) -> None:
        """Wait until a process has come to rest."""
        if self._gate is not None:
            await self._settle_at_gate(process)
            return
        await self._turn()
        if not self._at_rest(process):
            process.state = State.STALLED

    async def _settle_at_gate(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.step
        quiet = 0
        may_block = process.waiting is not None and self._may_block(process)
        while not self._at_rest(process):
            if process.waiting is not None and may_block:
                if await self._is_blocked(process):
                    return
            elif await process.change(_POLL_S):
                quiet = 0
            elif process.waiting is not None:
                if await self._is_blocked(process):
                    return
            elif (quiet := quiet + 1) > self._limits.stall:
                process.state = State.STALLED
                return
            if loop.time() > deadline:
                raise SchedulingError(self._waiting_report(process))

    async def _turn(self) -> None:
        """Let the event loop turn until all have come to rest, or nobody else does for a while."""
        started = [process for process in self.processes if process.task is not None]
        under_way, quiet = len(started), 0
        while quiet <= self._limits.stall:
            still = sum(not (process.parked or process.ended) for process in started)
            if not still:
                return
            under_way, quiet = still, quiet + 1 if still == under_way else 0
            await asyncio.sleep(0)

    def _at_rest(self, process: Process) -> bool:
        if process.parked:
            process.state = State.READY
        elif process.ended:
            process.state = State.DONE
        else:
            return False
        return True

    async def _is_blocked(self, process: Process) -> bool:
        statement = process.waiting
        assert statement is not None
        assert self._monitor is not None
        if not await self._monitor.blocked([statement.session.pid], self._pids()):
            return False
        if process.waiting is not statement:
            return False
        process.state = State.BLOCKED
        self._queue.append(process)
        statement.session.keeps_answers = True
        return True

    async def _look_after_waiting(
        self, *, released: bool, touched: list[Footprint] | None = None, but: Process | None = None
    ) -> list[int]:
        """Let those go on that no longer wait, one at a time, until nothing changes; who they were."""
        woke: list[int] = []
        while True:
            released = await self._await_dead() or released
            waiting = [p for p in self.processes if p.state is State.BLOCKED and p is not but]
            if released and waiting:
                await self._await_granted(waiting)
            self._turns.all_go_on()
            free = next((p for p in waiting if p.waiting is None), None) or self._unstalled(but)
            if free is None:
                return woke
            self._require_in_turn(free)
            released = released or _releases(free.footprint)
            if touched is not None:
                touched.append(free.footprint)
            await self._go_on(free)
            woke.append(free.index)

    def _require_in_turn(self, free: Process) -> None:
        """Refuse a run in which the database served a waiting process before one that had waited longer.

        It may: those that wait for a row that is then updated meet again at its new version. What follows is
        what follows when they come to wait in the other order, which is a schedule of its own.

        Raises:
            DivergenceError: the run is none that can be repeated.
        """
        earlier = self._queue[: self._queue.index(free)] if free in self._queue else []
        self._queue = [process for process in self._queue if process is not free]
        for other in earlier:
            if other.waiting is not None and other.footprint.dependent(free.footprint):
                raise DivergenceError(
                    f"step {len(self._steps)}: {free} was served before {other}, which had waited longer"
                )

    async def _await_granted(self, waiting: Sequence[Process]) -> None:
        """Wait for the answers of those whose locks have been granted."""
        for process in sorted(waiting, key=self._queue.index):
            self._turns.go_on(_pid(process))
            await self._await_answer_or_lock(process)

    async def _await_answer_or_lock(self, process: Process) -> None:
        assert self._monitor is not None
        deadline = asyncio.get_running_loop().time() + self._limits.step
        while process.waiting is not None:
            if await self._monitor.blocked([_pid(process)], self._pids()):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise SchedulingError(self._waiting_report(process))

    def _unstalled(self, but: Process | None) -> Process | None:
        stalled = (p for p in self.processes if p.state is State.STALLED and p is not but)
        return next((p for p in stalled if p.parked or p.ended), None)

    async def _go_on(self, process: Process) -> None:
        process.state = State.RUNNING
        self._running = process
        for session in process.sessions:
            session.deliver()
        await self._settle(process)

    async def _await_anybody(self) -> None:
        """Everybody waits: a deadlock PostgreSQL ends by itself, after its ``deadlock_timeout``.

        It ends whoever looks first. The others are stopped, so that it is who began to wait first.
        """
        if self._gate is None:
            raise SchedulingError(self._report("everybody waits, and nobody can let another go on"))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.step
        alone_until = loop.time() + _VICTIM_LOOKS_S
        self._turns.stop(_pid(process) for process in self._queue[1:])
        waiting = [p for p in self.processes if p.state in _WAITING]
        while not any(p.parked or p.ended or self._was_answered(p) for p in waiting):
            await waiting[0].change(_POLL_S)
            if loop.time() > alone_until:
                self._turns.all_go_on()
            if loop.time() > deadline:
                raise SchedulingError(self._waiting_report(None))
        woke = await self._look_after_waiting(released=True)
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = Step(
                last.process, last.label, last.footprint, last.blocked, (*last.woke, *woke), last.details
            )

    @staticmethod
    def _was_answered(process: Process) -> bool:
        return process.state is State.BLOCKED and process.waiting is None

    async def _drain(self) -> None:
        """Let everything run to its end, or cancel it, so that the next run finds nobody under way."""
        if self._gate is not None:
            self._gate.observer = PassAll()
        self._turns.all_go_on()
        for process in self.processes:
            process.free_running = True
            for parked in process.parked:
                parked.release()
            process.parked.clear()
        if self._gate is not None:
            for session in list(self._gate.sessions):
                session.pass_everything()
        else:
            await self._turn()
        tasks = [process.task for process in self.processes if process.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.step if self._gate is not None else 0)
            for task in (task for task in tasks if task in late):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    # ---- footprints ------------------------------------------------------------------------------

    def _transaction(self, session: Session) -> TransactionFootprint:
        found = self._transactions.get(session)
        if found is None:
            assert self._catalog is not None
            found = self._transactions[session] = TransactionFootprint(self._catalog, names=self._sent_names)
        return found

    def _footprint(self, parked: HeldStatement | Point) -> Footprint:
        known = self._footprints.get(parked)
        if known is None:
            known = self._footprints[parked] = self._footprint_of(parked)
        return known

    def _footprint_of(self, parked: HeldStatement | Point) -> Footprint:
        if isinstance(parked, Point):
            return parked.footprint.renamed(self._conditions.names)
        owner = parked.session.owner
        if isinstance(owner, Process) and (owner.index, owner.statements) in self._conditions.faults:
            return EVERYTHING
        footprint = self._transaction(parked.session).pending(parked.sql, parked.values)
        if self._conditions.start_is_read and _begins(parked.sql):
            footprint |= Footprint.of(READ_CLOCK)
        return footprint

    def _pending(self, process: Process) -> Pending:
        """The next step, and with it what it may complete: waiting statements that it may let go on."""
        parked = process.parked[0]
        own = self._footprint(parked)
        freed = _given_back(own)
        waking = [
            other.footprint
            for other in self.processes
            if other.state in _WAITING and other.footprint.dependent(freed)
        ]
        return Pending(_label(parked), union([own, *waking]) if waking else own)

    def _may_block(self, process: Process) -> bool:
        """Whether a lock that a statement takes may be held by another process."""
        mine = process.footprint
        if mine.everything:
            return True
        return any(
            mine.dependent(self._transaction(session).pending("COMMIT"))
            for other in self.processes
            if other is not process
            for session in other.owned
            if session in self._transactions
        )

    # ---- words -----------------------------------------------------------------------------------

    def _owner(self, session: Session) -> Process:
        assert isinstance(session.owner, Process)
        return session.owner

    def _pids(self) -> list[int]:
        assert self._gate is not None
        return [session.pid for session in self._gate.sessions if session.pid]

    def _waiting_report(self, process: Process | None) -> str:
        return self._report(
            f"no progress within {self._limits.step:g} s" + (f" of {process}" if process else "")
        )

    def _report(self, what: str) -> str:
        lines = [what]
        lines += [f"  {each}: {_waits_for(each)}" for each in self.processes]
        if self._gate is not None:
            lines += [
                f"  {session}: {session.unfinished} bytes of a message that has not come to its end"
                for session in self._gate.sessions
                if session.unfinished
            ]
        return "\n".join(lines)


def _waits_for(process: Process) -> str:
    match process.state:
        case State.READY:
            return f"ready for {_label(process.parked[0])}"
        case State.DONE:
            return "done"
        case State.STALLED:
            return "waits inside the service"
        case _ if process.waiting is not None:
            return f"waits for the answer to {_one_line(process.waiting.sql)}"
        case _:
            return "has sent nothing and answered nothing"


def _pid(process: Process) -> int:
    return 0 if process.waiting is None else process.waiting.session.pid


def _releases(footprint: Footprint) -> bool:
    return footprint.everything or any(
        access.mode in (Mode.RELEASE, Mode.PUBLISH) for access in footprint.accesses
    )


def _given_back(footprint: Footprint) -> Footprint:
    """The part of a footprint for which others may have waited."""
    released = (access for access in footprint.accesses if access.mode is Mode.RELEASE)
    return Footprint(frozenset(released), footprint.everything)


def _begins(sql: str) -> bool:
    return sql.lstrip()[:5].lower() in ("begin", "start")


@lru_cache(maxsize=4096)
def _one_line(sql: str) -> str:
    return " ".join(sql.split())


def _label(parked: HeldStatement | Point) -> str:
    return parked.label if isinstance(parked, Point) else _one_line(parked.sql)


def _details(parked: HeldStatement | Point) -> dict[str, Any]:
    if isinstance(parked, Point):
        return {"kind": "clock" if parked.label.startswith("clock") else "other"}
    details: dict[str, Any] = {
        "connection": parked.session.number,
        "answer": parked.tag,
        "values": tuple(map(str, parked.values)),
    }
    if parked.error is not None:
        details["error"] = f"{parked.error.get('C', '')} {parked.error.get('M', '')}"
    return details
