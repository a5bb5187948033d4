"""One run: every process is brought to its first step; then one after the other takes a step, as chosen.

Only one process runs at a time, so that a statement that appears on a connection that nobody uses belongs to
it. A statement is never held back because it *would* block: it is sent, found to wait, and the next process
is chosen. When a step lets waiting statements go on, their answers stay in the gate until the step's own
process has come to rest; then they are handed over, one process at a time.

Without a gate the processes stop at scheduling points alone, and wait for each other inside the event loop. A
process that has not come to rest after many turns of the loop waits for another. No real time passes: a run
depends on the choices alone, unless the processes themselves wait for time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pgweave.gate import HeldStatement, Session, Unit
from pgweave.interleavings.execution import Chooser, Execution, SchedulingError, Situation, Step
from pgweave.interleavings.footprint import WAITED, Footprint, union
from pgweave.scheduler.conditions import Conditions, Limits
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.draining import drain
from pgweave.scheduler.footprints import StepFootprints, lets_go
from pgweave.scheduler.injection import Injection
from pgweave.scheduler.labels import details_of
from pgweave.scheduler.left_connections import LeftConnections
from pgweave.scheduler.owners import Owners
from pgweave.scheduler.polling import Polling
from pgweave.scheduler.process import Body, Process, ProcessState, current_process
from pgweave.scheduler.waiting import WAITING, Waiting

POLLING = 6
_DEADLOCK_DETECTED = "40P01"


class Run:
    """A run of some processes through a gate.

    Args:
        bodies: what each process does, by name.
        database: where their statements appear; ``None`` if they stop at scheduling points alone.
        limits: how long to wait.
        conditions: what is particular to this run.

    Attributes:
        processes: the processes, with what they did.
        left: the connections that processes left inside a transaction when they ended.
        injection: the faults that were injected.
        polling: who has asked the same again and again.
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
        self._database = database
        self._limits = limits or Limits()
        self._conditions = conditions or Conditions()
        self._steps: list[Step] = []
        self._in_step = 0
        self.processes = [
            Process(index, name, lambda: len(self._steps) + self._in_step)
            for index, (name, _) in enumerate(bodies)
        ]
        self._footprints = StepFootprints(self._conditions, None if database is None else database.catalog)
        self._owners = Owners(self.processes)
        self.polling = Polling(self._conditions.looks)
        self._waiting = Waiting(self.processes, database, self._limits, self._may_block, self._owners.claim)
        self.left = LeftConnections(self.processes, self._limits)
        self.injection = Injection(self._conditions, self._footprints, database)

    @property
    def strays(self) -> list[str]:
        """Connections that sent statements while no process ran; those were not held."""
        return self._owners.strays

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that were taken."""
        return tuple(self._steps)

    @property
    def start_was_read(self) -> bool:
        """Whether a statement has asked when its transaction began."""
        return self._footprints.start_was_read

    async def __call__(self, choose: Chooser) -> Execution:
        """Perform the run.

        Raises:
            SchedulingError: a process neither came to rest nor ended within the limits.
            DivergenceError: the database served those that waited out of their order.
        """
        if self._database is not None:
            self._database.gate.observer = self
        try:
            for process, (_, body) in zip(self.processes, self._bodies, strict=True):
                self._start(process, body)
                await self._waiting.settle(process)
            complete = await self._schedule(choose)
        finally:
            await drain(self.processes, self._database, self._waiting, self._limits)
        for process in self.processes:
            assert process.task is not None
            if complete or not process.task.cancelled():
                process.task.result()
        impatient = [str(process) for process in self.polling.in_vain] if len(self.processes) > 1 else []
        return Execution(self.steps, complete, strays=tuple(self.strays), impatient=tuple(impatient))

    # ---- the gate's observer ---------------------------------------------------------------------

    def decide_to_hold(self, session: Session) -> bool:
        """Hold the next statement of a connection if a process may have sent it."""
        return self._owners.decide_to_hold(session)

    def decide_to_hold_other(self, session: Session, unit: Unit) -> bool:
        """Hold what is no statement worth a step if it takes a transaction's snapshot, or commits."""
        return self._footprints.is_step(session, unit) and self._owners.decide_to_hold(session)

    def held(self, statement: HeldStatement) -> None:
        """A process has come to its next step."""
        self._owners.held(statement)

    def answered(self, statement: HeldStatement) -> None:
        """The database has answered a process."""
        touched = self._footprints.executed(statement)
        process = statement.session.owner
        if isinstance(process, Process) and process.waiting is statement:
            process.footprint |= touched
            self.polling.note(process, statement, touched)
            if not statement.fault and (statement.error or {}).get("C") == _DEADLOCK_DETECTED:
                process.footprint |= WAITED  # who came to wait last decides whom a deadlock ends
            process.waiting = None
            process.answered()

    def ended(self, session: Session) -> None:
        """A connection has closed, and with it ends what it had not committed."""
        touched = self._footprints.ended(session)
        self._waiting.connection_ended(session.pid)
        process = session.owner
        self._owners.forget(session)
        if isinstance(process, Process):
            process.footprint |= touched
            process.forget(session)
            if process.waiting is not None and process.waiting.session is session:
                process.waiting = None
            process.changed()

    # ---- the schedule ----------------------------------------------------------------------------

    def _start(self, process: Process, body: Body) -> None:
        async def tell_the_end() -> None:
            current_process.set(process)
            try:
                await body(process)
            finally:
                process.changed()

        self._owners.running = process
        process.task = asyncio.get_running_loop().create_task(tell_the_end(), name=str(process))
        process.task.add_done_callback(lambda _task: process.changed())

    async def _schedule(self, choose: Chooser) -> bool:
        last = None
        while True:
            self._raise_what_failed()  # others may wait for ever for what it holds
            await self._let_go_on(released=False)
            waiting = [process for process in self.processes if process.state in WAITING]
            able = [process for process in self.processes if process.state is ProcessState.READY]
            pollers = [process for process in able if self.polling.polls(process)]
            ready = {p.index: self._footprints.pending(p, waiting) for p in able if p not in pollers}
            if not ready:
                if pollers:
                    await self.polling.ask(pollers, self._ask, POLLING * self._limits.step)
                elif waiting:
                    await self._await_anybody()
                else:
                    return True
                continue
            if len(self._steps) >= self._limits.steps:
                raise SchedulingError(f"it does not end: {len(self._steps)} steps were taken")
            touched = self._steps[-1].touched if self._steps else None
            blocked = frozenset(process.index for process in waiting)
            last = choose(Situation(len(self._steps), ready, blocked, last, touched))
            if last is None:
                return False
            await self._step(self.processes[last])

    def _raise_what_failed(self) -> None:
        for process in self.processes:
            if process.task is not None and process.task.done() and not process.task.cancelled():
                process.task.result()

    async def _step(self, process: Process) -> None:
        parked = process.parked.popleft()
        announced = self._footprints.announced(parked)
        process.footprint = announced.footprint
        process.begin_step(len(self._steps))
        process.state, fault = ProcessState.RUNNING, None
        self._in_step = 1
        self._owners.running = process
        if isinstance(parked, HeldStatement):
            process.waiting = parked
            self._waiting.stop_those_that_wait()
            fault = await self.injection.send(process, parked)
        else:
            parked.release()
        await self._waiting.settle(process)
        blocked, touched = process.state in WAITING and not process.left, [process.footprint]
        woke = await self._let_go_on(released=lets_go(process.footprint), touched=touched, but=process)
        self._owners.running = None
        self._in_step = 0
        details = details_of(parked, fault)
        step = Step(
            process.index, announced.label, union(touched), blocked, tuple(woke), details, announced.shape
        )
        self._steps.append(step)
        self.polling.note_step(process, step.touched)

    async def _ask(self, process: Process) -> bool:
        """Let one who polls ask, which is no step; whether others go on for it."""
        statement = process.parked.popleft()
        assert isinstance(statement, HeldStatement)
        process.footprint, process.waiting = self._footprints.of(statement), statement
        process.state, self._owners.running = ProcessState.RUNNING, process
        statement.release()
        await self._waiting.settle(process)
        woke = await self._let_go_on(released=True, but=process)
        self._owners.running = None
        self._add_to_last_step(woke)
        return bool(woke)

    def _may_block(self, process: Process) -> bool:
        return self._footprints.may_block(process, self.processes)

    async def _let_go_on(
        self, *, released: bool, touched: list[Footprint] | None = None, but: Process | None = None
    ) -> list[int]:
        """Let those go on that no longer wait, one at a time, until nothing changes; who they were."""
        woke: list[int] = []
        while True:
            if self._waiting.nobody_goes_on(but):
                self._waiting.turns.all_go_on()
                return woke
            released = await self._waiting.await_dead() or released
            blocked = [p for p in self.processes if p.state is ProcessState.BLOCKED and p is not but]
            if released and blocked:
                await self._waiting.await_granted(blocked)
                while await self._waiting.end_deadlock():
                    await self._waiting.await_granted(blocked)
            self._waiting.turns.all_go_on()
            free = next((p for p in blocked if p.waiting is None), None) or await self._find_reaction(but)
            if free is None:
                return woke
            self._waiting.require_in_turn(free, len(self._steps))
            released = released or lets_go(free.footprint)
            if touched is not None:
                touched.append(free.footprint)
            await self._go_on(free)
            woke.append(free.index)

    async def _find_reaction(self, but: Process | None) -> Process | None:
        """Find one that waited inside the service and goes on, perhaps because of the step that is taken."""
        stalled = [p for p in self.processes if p.state is ProcessState.STALLED and p is not but]
        if stalled and self._in_step and self._database is not None:
            await self._waiting.await_reaction(stalled, self._owners.unclaimed)
        free = next((p for p in stalled if p.parked or p.ended), None)
        return stalled[0] if free is None and stalled and self._owners.claim(stalled[0]) else free

    async def _go_on(self, process: Process) -> None:
        process.state = ProcessState.RUNNING
        self._owners.running = process
        for session in process.sessions:
            session.deliver()
        await self._waiting.settle(process)

    async def _await_anybody(self) -> None:
        """Everybody waits: the step that was taken last is the one that lets somebody go on."""
        if not await self.left.release():
            await self._waiting.await_anybody(self._owners.unclaimed)
        self._add_to_last_step(await self._let_go_on(released=True))

    def _add_to_last_step(self, woke: Sequence[int]) -> None:
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = replace(last, woke=(*last.woke, *woke))
