"""One of the processes that a run schedules, and what it tells about itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from pgweave.gate import HeldStatement, Session
from pgweave.interleavings.footprint import NOTHING, Footprint

Body: TypeAlias = "Callable[[Process], Coroutine[Any, Any, None]]"
"""What a process does, from its start to its end."""

current_process: ContextVar[Process | None] = ContextVar("current_process", default=None)
"""The process on whose behalf code runs, where that can be told from the task it runs in."""


class ProcessState(Enum):
    """Where a process stands between two steps.

    Attributes:
        RUNNING: on its way to its next step.
        READY: its next step is known and held back.
        BLOCKED: its last statement waits for a lock in the database.
        STALLED: it waits for something inside the service: an in-process lock, a full pool.
        DONE: it has ended.
    """

    RUNNING = 1
    READY = 2
    BLOCKED = 3
    STALLED = 4
    DONE = 5


@dataclass(slots=True)
class ScheduledOperation:
    """One operation that a process performed.

    Attributes:
        process: who.
        value: what was asked.
        result: what was answered; ``None`` if it was not.
        first: the index of the first step taken for it; ``None`` if there was none.
        last: the index of the last step taken for it; ``None`` if it was not answered.
        answered: the index of the step during which it was answered: a later one, of another process, if its
            last step had to wait.
    """

    process: int
    value: Any
    result: Any = None
    first: int | None = None
    last: int | None = None
    answered: int | None = None


@dataclass(eq=False, slots=True)
class Point:
    """A scheduling point of the harness's own, or of code that knows the scheduler."""

    label: str
    footprint: Footprint
    reached: asyncio.Future[None]

    def release(self) -> None:
        """Let the process go on."""
        if not self.reached.done():
            self.reached.set_result(None)


class Process:
    """A process of a run.

    Attributes:
        index: its number.
        name: its name, for people.
        state: where it stands.
        parked: the steps it waits to take, the next one first.
        waiting: the statement that it has sent to the database and that has not been answered.
        footprint: what the statement that it sent last touches.
        operations: what it has done, in order.
        statements: how many statements it has sent.
    """

    def __init__(self, index: int, name: str, steps_taken: Callable[[], int]) -> None:
        self.index = index
        self.name = name
        self.state = ProcessState.RUNNING
        self.parked: deque[HeldStatement | Point] = deque()
        self.waiting: HeldStatement | None = None
        self.footprint = NOTHING
        self.operations: list[ScheduledOperation] = []
        self.statements = 0
        self.task: asyncio.Task[None] | None = None
        self.sessions: set[Session] = set()
        self.free_running = False
        self._steps_taken = steps_taken
        self._last_step = 0
        self._change: asyncio.Future[bool] | None = None
        self._answers_count = True

    def __str__(self) -> str:
        return f"process {self.index} ({self.name})"

    # ---- for bodies ------------------------------------------------------------------------------

    async def point(self, label: str, footprint: Footprint) -> None:
        """Wait here until the scheduler chooses this process: what follows is its next step."""
        if self.free_running:
            return
        point = Point(label, footprint, asyncio.get_running_loop().create_future())
        self.parked.append(point)
        self.changed()
        await point.reached

    def begin(self, value: object) -> ScheduledOperation:
        """Say that an operation begins; its first step is the next that this process takes."""
        operation = ScheduledOperation(self.index, value)
        self.operations.append(operation)
        return operation

    def end(self, operation: ScheduledOperation, result: object) -> None:
        """Say that an operation was answered, during the step that was taken last.

        Once the run has been ended early, it was answered during none, and counts as not answered.
        """
        if self.free_running:
            return
        operation.result = result
        operation.answered = max(self._steps_taken() - 1, 0)
        operation.last = self._last_step if operation.first is not None else None

    # ---- for the scheduler -----------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether it has nothing left to do: its body is over, and so is all it did in the database."""
        return (
            self.task is not None
            and self.task.done()
            and all(session.idle or session.closed for session in self.owned)
        )

    @property
    def owned(self) -> list[Session]:
        """The connections that it is in the middle of using."""
        return [session for session in self.sessions if session.owner is self]

    @property
    def left(self) -> list[Session]:
        """Connections that it has left inside a transaction: it has ended, and nothing happens on them."""
        if self.task is None or not self.task.done() or self.parked or self.waiting is not None:
            return []
        return [session for session in self.owned if session.block.is_open and session.rests]

    def forget(self, session: Session) -> None:
        """Take no more steps on a connection that has closed; what follows from that is still to come."""
        self.parked = deque(
            step for step in self.parked if isinstance(step, Point) or step.session is not session
        )
        if self.state is ProcessState.READY and not self.parked:
            self.state = ProcessState.STALLED

    def begin_step(self, index: int) -> None:
        """Note that this process takes the step of that index."""
        self._last_step = index
        for operation in reversed(self.operations):
            if operation.first is not None or operation.answered is not None:
                break
            operation.first = index

    def changed(self) -> None:
        """Something happened to this process: whoever waits for that looks again."""
        if self._change is not None and not self._change.done():
            self._change.set_result(True)

    def answered(self) -> None:
        """The database has answered this process, which mostly goes on to its next statement."""
        if self._answers_count or (self.task is not None and self.task.done()):
            self.changed()

    async def change(self, limit_s: float, *, answers_count: bool = True) -> bool:
        """Wait until something happens to this process; whether it did.

        Args:
            limit_s: wait for so long at most.
            answers_count: whether an answer of the database does, after which it has not come to rest.
        """
        loop = asyncio.get_running_loop()
        self._answers_count = answers_count
        self._change = loop.create_future()
        timer = loop.call_later(limit_s, self._give_up, self._change)
        try:
            return await self._change
        finally:
            timer.cancel()
            self._change = None

    @staticmethod
    def _give_up(change: asyncio.Future[bool]) -> None:
        if not change.done():
            change.set_result(False)
