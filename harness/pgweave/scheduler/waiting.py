"""Who waits: found out of the database, or where there is none, of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from pgweave.gate import Fault
from pgweave.interleavings.execution import DivergenceError, SchedulingError
from pgweave.scheduler.conditions import Limits
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.labels import who_waits
from pgweave.scheduler.process import Process, ProcessState
from pgweave.scheduler.turns import Turns

WAITING = (ProcessState.BLOCKED, ProcessState.STALLED)

_CANCELLED = "57014"
_POLL_S = 0.002
_VICTIM_LOOKS_S = 1.0
_REACTION = 25  # looks: 50 ms and more
_INSIDE = 5


class Waiting:
    """Waits until processes have come to rest, and keeps those that wait for locks in their order.

    Args:
        processes: of the run.
        database: where their statements go; ``None`` if they stop at scheduling points alone.
        limits: how long to wait.
        may_block: whether the statement of a process may have to wait: then that is asked at once.
        claim: gives a process a statement that may be its, or that of one that waits inside the service.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        database: GatedDatabase | None,
        limits: Limits,
        may_block: Callable[[Process], bool],
        claim: Callable[[Process], bool],
    ) -> None:
        self.turns = Turns(ours=False) if database is None else database.turns
        self._processes = processes
        self._database = database
        self._limits = limits
        self._may_block = may_block
        self._claim = claim
        self._queue: list[Process] = []
        self._dying: list[int] = []
        self._ended: set[Process] = set()

    async def settle(self, process: Process) -> None:
        """Wait until a process has come to rest: to its next step or its end, or to wait.

        Raises:
            SchedulingError: it did not within the limits.
        """
        if self._database is not None:
            await self._settle_at_gate(process)
            return
        await self.turn()
        if not _at_rest(process):
            process.state = ProcessState.STALLED

    async def turn(self) -> None:
        """Let the event loop turn until all have come to rest, or nobody else does for a while."""
        started = [process for process in self._processes if process.task is not None]
        under_way, quiet = len(started), 0
        while quiet <= self._limits.stall:
            still = sum(not (process.parked or process.ended) for process in started)
            if not still:
                return
            under_way, quiet = still, quiet + 1 if still == under_way else 0
            await asyncio.sleep(0)

    def stop_those_that_wait(self) -> None:
        """Stop the server processes that wait, if there are several: they are let go on in their order."""
        if len(self._queue) > 1:
            self.turns.stop(_pid(process) for process in self._queue)

    def connection_ended(self, pid: int) -> None:
        """A connection has closed; its server process may live on for a moment, with its locks."""
        self._dying.append(pid)

    def nobody_goes_on(self, but: Process | None) -> bool:
        """Whether no process waits, but for one, and no connection has just closed."""
        for each in self._processes:
            if each is not but and each.state in WAITING:
                return False
        return not self._dying

    async def await_dead(self) -> bool:
        """Wait until the server processes of closed connections have ended; whether there were any.

        Raises:
            SchedulingError: one lives on.
        """
        dying, self._dying = self._dying, []
        deadline = self._deadline()
        for pid in dying:
            while self._database is not None and await self._database.monitor.is_alive(pid):
                if monotonic() > deadline:
                    raise SchedulingError(f"server process {pid} lives on after its connection has closed")
        return bool(dying)

    async def await_granted(self, waiting: Sequence[Process]) -> None:
        """Wait for the answers of those whose locks have been granted, in their order."""
        for process in sorted(waiting, key=self._queue.index):
            self.turns.go_on(_pid(process))
            deadline = self._deadline()
            if process.waiting is not None and not self._may_block(process):
                await process.change(_POLL_S)
            while process.waiting is not None and not await self._waits_for_lock(process):
                if monotonic() > deadline:
                    raise SchedulingError(self._no_progress(process))

    def require_in_turn(self, free: Process, step: int) -> None:
        """Refuse a run in which the database served a waiting process before one that had waited longer.

        It may: those that wait for a row that is then updated meet again at its new version. What follows is
        what follows when they come to wait in the other order, which is a schedule of its own.

        Raises:
            DivergenceError: the run is none that can be repeated.
        """
        in_queue = free in self._queue and free not in self._ended
        self._ended.discard(free)
        earlier = self._queue[: self._queue.index(free)] if in_queue else []
        self._queue = [process for process in self._queue if process is not free]
        for other in earlier:
            if other.waiting is not None and other.footprint.dependent(free.footprint):
                raise DivergenceError(
                    f"step {step}: {free} was served before {other}, which had waited longer"
                )

    async def await_anybody(self, unclaimed: Sequence[object]) -> None:
        """Everybody waits: a deadlock PostgreSQL ends by itself, after its ``deadlock_timeout``.

        It ends whoever looks first. The others are stopped, so that it is who began to wait first. Who waits
        inside the service may wait for time to pass, and has more of it.

        Args:
            unclaimed: statements that nobody has claimed: those of one who waited inside the service.

        Raises:
            SchedulingError: nothing happens within the limits.
        """
        if self._database is None:
            what = "everybody waits, and nobody can let another go on"
            raise SchedulingError(who_waits(what, self._processes, None))
        deadline, alone_until = self._deadline(), monotonic() + _VICTIM_LOOKS_S
        self.turns.stop(_pid(process) for process in self._queue[1:])
        waiting = [process for process in self._processes if process.state in WAITING]
        if any(process.state is ProcessState.STALLED for process in waiting):
            deadline += _INSIDE * self._limits.step
        while not unclaimed and not any(map(_goes_on, waiting)):
            await waiting[0].change(_POLL_S)
            if monotonic() > alone_until:
                self.turns.all_go_on()
            if monotonic() > deadline:
                raise SchedulingError(self._no_progress(None))

    async def await_reaction(self, stalled: Sequence[Process], unclaimed: Sequence[object]) -> None:
        """Give those that wait inside the service the time to go on."""
        for _ in range(_REACTION):
            if unclaimed or any(process.parked or process.ended for process in stalled):
                return
            await stalled[0].change(_POLL_S)

    async def _settle_at_gate(self, process: Process) -> None:
        may_block = process.waiting is not None and self._may_block(process)
        deadline, quiet = self._deadline(), 0
        while not _at_rest(process):
            if process.waiting is not None and may_block:
                if await self._is_blocked(process):
                    return
            elif await process.change(_POLL_S, answers_count=False):
                quiet = 0
            elif process.waiting is not None:
                if await self._is_blocked(process):
                    return
            elif (quiet := quiet + 1) == _REACTION and self._claim(process):
                quiet = 0
            elif quiet > (min(self._limits.stall, self._limits.left) if process.left else self._limits.stall):
                process.state = ProcessState.STALLED
                return
            if monotonic() > deadline:
                raise SchedulingError(self._no_progress(process))

    async def _is_blocked(self, process: Process) -> bool:
        statement = process.waiting
        assert statement is not None
        if not await self._waits_for_lock(process) or process.waiting is not statement:
            return False
        if await self._end_deadlock(process) or process.waiting is not statement:
            return False
        process.state = ProcessState.BLOCKED
        self._queue.append(process)
        statement.session.answers.are_kept = True
        return True

    async def end_deadlock(self) -> bool:
        """Whether some that wait did so for each other; then the statement of who came last has ended."""
        for process in reversed(self._queue):
            if process.waiting is not None and await self._end_deadlock(process):
                self._ended.add(process)
                return True
        return False

    async def _end_deadlock(self, process: Process) -> bool:
        """Have the statement of a process that closes a circle of waiting ones ended; whether it does.

        PostgreSQL ends one of them when its ``deadlock_timeout`` has passed, and which is a matter of time.
        Here it is always who came to wait last, at once, with PostgreSQL's error: in another schedule another
        does. Functions that handle that error themselves do not see it: with them PostgreSQL decides.
        """
        database, statement = self._database, process.waiting
        others = [_pid(each) for each in self._queue if each is not process and each.waiting is not None]
        if database is None or statement is None or not others or database.catalog.handles_errors:
            return False
        waiting_for = await database.monitor.waiting_for([_pid(process), *others])
        if process.waiting is not statement or not _closes_circle(_pid(process), waiting_for):
            return False
        statement.session.rename_error(_CANCELLED, Fault.DEADLOCK)
        self.turns.go_on(statement.session.pid)
        await database.monitor.cancel(statement.session.pid)
        deadline = self._deadline()
        while process.waiting is statement:
            await process.change(_POLL_S)
            if monotonic() > deadline:
                raise SchedulingError(self._no_progress(process))
        return True

    async def _waits_for_lock(self, process: Process) -> bool:
        assert self._database is not None
        pids = [session.pid for session in self._database.gate.sessions if session.pid]
        return bool(await self._database.monitor.blocked([_pid(process)], pids))

    def _deadline(self) -> float:
        return monotonic() + self._limits.step

    def _no_progress(self, process: Process | None) -> str:
        what = f"no progress within {self._limits.step:g} s" + (f" of {process}" if process else "")
        return who_waits(what, self._processes, None if self._database is None else self._database.gate)


def _at_rest(process: Process) -> bool:
    if process.parked:
        process.state = ProcessState.READY
    elif process.ended:
        process.state = ProcessState.DONE
    else:
        return False
    return True


def _closes_circle(pid: int, waiting_for: Mapping[int, frozenset[int]]) -> bool:
    """Whether a process waits, by way of others, for itself."""
    seen: set[int] = set()
    todo = [pid]
    while todo:
        for other in waiting_for.get(todo.pop(), frozenset()) - seen:
            seen.add(other)
            todo.append(other)
    return pid in seen


def _pid(process: Process) -> int:
    return 0 if process.waiting is None else process.waiting.session.pid


def _goes_on(process: Process) -> bool:
    answered = process.state is ProcessState.BLOCKED and process.waiting is None
    return bool(process.parked) or process.ended or answered
