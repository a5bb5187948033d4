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
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from pgweave.gate import Fault, HeldStatement, Session
from pgweave.interleavings.execution import Chooser, Execution, SchedulingError, Situation, Step
from pgweave.interleavings.footprint import EVERYTHING, WAITED, Footprint, union
from pgweave.scheduler.conditions import Conditions, Limits
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.draining import drain
from pgweave.scheduler.footprints import StepFootprints, lets_go, shape_of
from pgweave.scheduler.owners import Owners
from pgweave.scheduler.polling import Polling
from pgweave.scheduler.process import Body, Process, State, current_process
from pgweave.scheduler.waiting import WAITING, Waiting
from pgweave.scheduler.words import details_of

POLLING = 6
LEFT_LOOK_S = 0.01
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
        injected: how many faults were injected.
        passed_over: how many statements were not hurt because PostgreSQL does not do it there.
        left_failed: connections that a process left inside a transaction when it ended, one that has failed:
            that holds no lock.
    """

    def __init__(
        self,
        bodies: Sequence[tuple[str, Body]],
        database: GatedDatabase | None = None,
        *,
        limits: Limits | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.injected = 0
        self.passed_over = 0
        self.left_failed: list[Session] = []
        self._left_open: list[Session] = []
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
        self._polling = Polling()
        self._waiting = Waiting(self.processes, database, self._limits)

    @property
    def strays(self) -> list[str]:
        """Connections that sent statements while no process ran; those were not held."""
        return self._owners.strays

    @property
    def left_open(self) -> str:
        """What a process left inside a transaction, with its locks, when it ended; empty if nothing.

        Such connections were closed then, so that others could go on.
        """
        if not self._left_open:
            return ""
        return f"{self._left_open[0]} was left inside a transaction, with its locks, when all was answered"

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
            await drain(self.processes, self._database, self._waiting, self._limits)
        for process in self.processes:
            assert process.task is not None
            if complete or not process.task.cancelled():
                process.task.result()
        return Execution(tuple(self._steps), complete, strays=tuple(self.strays))

    # ---- the gate's observer ---------------------------------------------------------------------

    def controls(self, session: Session) -> bool:
        """Whether a statement is held."""
        return self._owners.controls(session)

    def held(self, statement: HeldStatement) -> None:
        """A process has come to its next step."""
        self._owners.held(statement)

    def answered(self, statement: HeldStatement) -> None:
        """The database has answered a process."""
        touched = self._footprints.executed(statement)
        process = statement.session.owner
        if isinstance(process, Process) and process.waiting is statement:
            process.footprint |= touched
            self._polling.note(process, statement, touched)
            if statement.error is not None and statement.error.get("C") == _DEADLOCK_DETECTED:
                process.footprint |= WAITED  # who came to wait last decides whom a deadlock ends
            process.waiting = None
            process.changed()

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
            await self._look_after_waiting(released=False)
            waiting = [process for process in self.processes if process.state in WAITING]
            able = [process for process in self.processes if process.state is State.READY]
            pollers = [process for process in able if self._polling.polls(process)]
            ready = {
                process.index: self._footprints.pending(process, waiting)
                for process in able
                if process not in pollers
            }
            if not ready:
                if pollers:
                    await self._poll(pollers)
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
        process.footprint, label = self._footprints.of(parked), self._footprints.label(parked)
        process.begin_step(len(self._steps))
        process.state = State.RUNNING
        self._in_step = 1
        self._owners.running = process
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
        self._owners.running = None
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
        self._polling.note_step(process, self._steps[-1].touched)

    async def _poll(self, pollers: Sequence[Process]) -> None:
        """Nobody else can go on: let those who poll ask in turn, until one does something else.

        Raises:
            SchedulingError: they ask on and on.
        """
        deadline = monotonic() + POLLING * self._limits.step
        while all(self._polling.polls(process) for process in pollers):
            for process in pollers:
                statement = process.parked.popleft()
                assert isinstance(statement, HeldStatement)
                process.footprint, process.waiting = self._footprints.of(statement), statement
                process.state, self._owners.running = State.RUNNING, process
                statement.release()
                await self._settle(process)
                woke = await self._look_after_waiting(released=True, but=process)
                self._owners.running = None
                if self._steps:
                    self._steps[-1] = replace(self._steps[-1], woke=(*self._steps[-1].woke, *woke))
                if process.state is State.READY and not self._polling.polls(process):
                    self._polling.forget(process)
                if woke or not self._polling.polls(process):
                    return
            if monotonic() > deadline:
                raise SchedulingError(f"{', '.join(map(str, pollers))} asked for the same without end")

    async def _send(self, process: Process, statement: HeldStatement) -> None:
        """Let a statement go, or put the fault in its place that is planned for it."""
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
            claim=lambda: self._owners.claim(process),
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
            await self._waiting.await_reaction(stalled, self._owners.unclaimed)
        free = next((p for p in stalled if p.parked or p.ended), None)
        return stalled[0] if free is None and stalled and self._owners.claim(stalled[0]) else free

    async def _go_on(self, process: Process) -> None:
        process.state = State.RUNNING
        self._owners.running = process
        for session in process.sessions:
            session.deliver()
        await self._settle(process)

    async def _await_anybody(self) -> None:
        """Everybody waits: the step that was taken last is the one that lets somebody go on."""
        if not await self._take_what_was_left():
            await self._waiting.await_anybody(self._owners.unclaimed)
        woke = await self._look_after_waiting(released=True)
        if self._steps:
            last = self._steps[-1]
            self._steps[-1] = replace(last, woke=(*last.woke, *woke))

    async def _take_what_was_left(self) -> bool:
        """Take the connections that ended processes left inside a transaction; whether there are any.

        A pool may end a transaction that has failed when it lends the connection again: that is not awaited.
        """
        left = {session: process for process in self.processes for session in process.left}
        failed = [session for session in left if session.has_failed]
        for session in failed:
            session.owner = None
        self.left_failed += failed
        if failed or not left:
            return bool(failed)
        deadline = monotonic() + self._limits.step / 2
        while all(session in process.left for session, process in left.items()):
            if monotonic() > deadline:
                for session in left:
                    session.cut()
                self._left_open += left
                break
            await next(iter(left.values())).change(LEFT_LOOK_S)
        return True
