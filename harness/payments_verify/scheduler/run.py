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
from collections.abc import Sequence
from dataclasses import replace

from payments_verify.gate import Fault, HeldStatement, Session
from payments_verify.gate.proxy import PassAll
from payments_verify.interleavings.execution import Chooser, Execution, Situation, Step
from payments_verify.interleavings.footprint import EVERYTHING, WAITED, Footprint, union
from payments_verify.scheduler.conditions import Conditions, Limits
from payments_verify.scheduler.database import GatedDatabase
from payments_verify.scheduler.footprints import StepFootprints, lets_go, shape_of
from payments_verify.scheduler.process import Body, Process, State, current_process
from payments_verify.scheduler.waiting import WAITING, Waiting
from payments_verify.scheduler.words import details_of

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
        strays: connections that sent statements while no process ran; those were not held.
        injected: how many faults were injected.
        passed_over: how many statements were not hurt because PostgreSQL does not do it there.
    """

    def __init__(
        self,
        bodies: Sequence[tuple[str, Body]],
        database: GatedDatabase | None = None,
        *,
        limits: Limits | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.strays: list[str] = []
        self.injected = 0
        self.passed_over = 0
        self._bodies = bodies
        self._database = database
        self._limits = limits or Limits()
        self._conditions = conditions or Conditions()
        self._steps: list[Step] = []
        self._in_step = 0
        self._running: Process | None = None
        self._unclaimed: list[HeldStatement] = []
        self.processes = [
            Process(index, name, lambda: len(self._steps) + self._in_step)
            for index, (name, _) in enumerate(bodies)
        ]
        self._footprints = StepFootprints(self._conditions, None if database is None else database.catalog)
        self._waiting = Waiting(self.processes, database, self._limits)

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
                await self._settle(process)
            complete = await self._schedule(choose)
        finally:
            await self._drain()
        for process in self.processes:
            assert process.task is not None
            if complete or not process.task.cancelled():
                process.task.result()
        return Execution(tuple(self._steps), complete)

    # ---- the gate's observer ---------------------------------------------------------------------

    def controls(self, session: Session) -> bool:
        """Every statement of a process is held; one that nobody can have sent passes, and is noted."""
        if isinstance(session.owner, Process) and session.owner in self.processes:
            return True
        if any(process.state is State.STALLED for process in self.processes):
            session.owner = self._unclaimed  # of whom it is shows when the others have come to rest
        elif self._running is not None:
            self._belongs(session, self._running)
        else:
            session.owner = None
            self.strays.append(str(session))
            return False
        return True

    def _belongs(self, session: Session, process: Process) -> None:
        session.owner = process
        process.sessions.add(session)

    def held(self, statement: HeldStatement) -> None:
        """A process has come to its next step."""
        process = statement.session.owner
        if isinstance(process, Process):
            process.parked.append(statement)
            process.changed()
        else:
            self._unclaimed.append(statement)

    def _claim(self, process: Process) -> bool:
        """Give a process the statement that nobody has claimed; whether there is one."""
        if not self._unclaimed:
            return False
        statement = self._unclaimed.pop(0)
        self._belongs(statement.session, process)
        process.parked.append(statement)
        return True

    def answered(self, statement: HeldStatement) -> None:
        """The database has answered a process."""
        touched = self._footprints.executed(statement)
        process = statement.session.owner
        if isinstance(process, Process) and process.waiting is statement:
            process.footprint |= touched
            if statement.error is not None and statement.error.get("C") == _DEADLOCK_DETECTED:
                process.footprint |= WAITED  # who came to wait last decides whom a deadlock ends
            process.waiting = None
            process.changed()

    def ended(self, session: Session) -> None:
        """A connection has closed, and with it ends what it had not committed."""
        touched = self._footprints.ended(session)
        self._waiting.connection_ended(session.pid)
        process = session.owner
        self._unclaimed[:] = [each for each in self._unclaimed if each.session is not session]
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

        self._running = process
        process.task = asyncio.get_running_loop().create_task(tell_the_end(), name=str(process))
        process.task.add_done_callback(lambda _task: process.changed())

    async def _schedule(self, choose: Chooser) -> bool:
        last = None
        while True:
            await self._look_after_waiting(released=False)
            waiting = [process for process in self.processes if process.state in WAITING]
            ready = {
                process.index: self._footprints.pending(process, waiting)
                for process in self.processes
                if process.state is State.READY
            }
            if not ready:
                if not waiting:
                    return True
                await self._await_anybody()
                continue
            touched = self._steps[-1].touched if self._steps else None
            blocked = frozenset(process.index for process in waiting)
            last = choose(Situation(len(self._steps), ready, blocked, last, touched))
            if last is None:
                return False
            await self._step(self.processes[last])

    async def _step(self, process: Process) -> None:
        parked = process.parked.popleft()
        process.footprint, label = self._footprints.of(parked), self._footprints.label(parked)
        process.begin_step(len(self._steps))
        process.state = State.RUNNING
        self._in_step = 1
        self._running = process
        if isinstance(parked, HeldStatement):
            process.waiting = parked
            self._waiting.stop_those_that_wait()
            await self._send(process, parked)
        else:
            parked.release()
        await self._settle(process)
        blocked = process.state in WAITING
        touched = [process.footprint]
        woke = await self._look_after_waiting(
            released=lets_go(process.footprint), touched=touched, but=process
        )
        self._running = None
        self._in_step = 0
        self._steps.append(
            Step(
                process.index,
                label,
                union(touched),
                blocked,
                tuple(woke),
                details_of(parked),
                shape_of(parked),
            )
        )

    async def _send(self, process: Process, statement: HeldStatement) -> None:
        """Let a statement go, or let happen to it what is to happen."""
        planned = (process.index, process.statements) in self._conditions.faults
        fault = self._footprints.fault_at(statement)
        before = self._footprints.before_refusal(statement)
        process.statements += 1
        if fault is None:
            self.passed_over += planned
            statement.release()
            return
        self.injected += 1
        process.footprint = EVERYTHING
        if fault is Fault.TERMINATED:
            assert self._database is not None
            await self._database.monitor.terminate(statement.session.pid)
        if not statement.session.closed:
            statement.release(fault, before)

    async def _settle(self, process: Process) -> None:
        await self._waiting.settle(
            process,
            may_block=lambda: self._footprints.may_block(process, self.processes),
            claim=lambda: self._claim(process),
        )

    async def _look_after_waiting(
        self, *, released: bool, touched: list[Footprint] | None = None, but: Process | None = None
    ) -> list[int]:
        """Let those go on that no longer wait, one at a time, until nothing changes; who they were."""
        woke: list[int] = []
        while True:
            released = await self._waiting.await_dead() or released
            blocked = [p for p in self.processes if p.state is State.BLOCKED and p is not but]
            if released and blocked:
                await self._waiting.await_granted(blocked)
                while await self._waiting.end_deadlock():
                    await self._waiting.await_granted(blocked)
            self._waiting.turns.all_go_on()
            free = next((p for p in blocked if p.waiting is None), None) or await self._unstalled(but)
            if free is None:
                return woke
            self._waiting.require_in_turn(free, len(self._steps))
            released = released or lets_go(free.footprint)
            if touched is not None:
                touched.append(free.footprint)
            await self._go_on(free)
            woke.append(free.index)

    async def _unstalled(self, but: Process | None) -> Process | None:
        """One that waited inside the service and goes on, perhaps because of the step that is being taken."""
        stalled = [p for p in self.processes if p.state is State.STALLED and p is not but]
        if stalled and self._in_step and self._database is not None:
            await self._waiting.await_reaction(stalled, self._unclaimed)
        free = next((p for p in stalled if p.parked or p.ended), None)
        return stalled[0] if free is None and stalled and self._claim(stalled[0]) else free

    async def _go_on(self, process: Process) -> None:
        process.state = State.RUNNING
        self._running = process
        for session in process.sessions:
            session.deliver()
        await self._settle(process)

    async def _await_anybody(self) -> None:
        """Everybody waits: the step that was taken last is the one that lets somebody go on."""
        await self._waiting.await_anybody(self._unclaimed)
        woke = await self._look_after_waiting(released=True)
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = replace(last, woke=(*last.woke, *woke))

    async def _drain(self) -> None:
        """Let everything run to its end, or cancel it, so that the next run finds nobody under way."""
        gate = None if self._database is None else self._database.gate
        if gate is not None:
            gate.observer = PassAll()
            gate.refuses_next = False
        self._waiting.turns.all_go_on()
        for process in self.processes:
            process.free_running = True
            for parked in process.parked:
                parked.release()
            process.parked.clear()
        if gate is not None:
            for session in list(gate.sessions):
                session.pass_everything()
        else:
            await self._waiting.turn()
        tasks = [process.task for process in self.processes if process.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.step if gate is not None else 0)
            for task in (task for task in tasks if task in late):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
