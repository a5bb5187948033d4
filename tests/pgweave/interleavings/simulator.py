"""A transactional store in memory, whose processes are scheduled: what the explorer is tested against.

It does what PostgreSQL does under READ COMMITTED, with exclusive locks only: a plain read sees what is
committed and its own transaction's writes; a lock that another transaction holds is waited for, first come,
first served, and what is read then is what is committed then; who closes a circle of waits fails, and so does
who inserts a row that exists; a transaction that failed has given its locks back, and answers nothing until
it is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pgweave.interleavings.execution import Chooser, Execution, Pending, Situation, Step
from pgweave.interleavings.footprint import (
    NOTHING,
    WAITED,
    Access,
    Footprint,
    Lock,
    Mode,
    Rows,
    union,
)

CLOCK = Rows("clock")


@dataclass(frozen=True, slots=True)
class Operation:
    """A statement.

    Attributes:
        kind: begin, lock, read, write, insert, commit, rollback or tick.
        row: the row it is about.
        value: what it writes, or a function from the row's value to what it writes.
        index: for an insert, the unique key that it claims.
        snapshot: for a lock, another row, which it answers with as it was when it was sent.
    """

    kind: str
    row: Rows | None = None
    value: Any = None
    index: Rows | None = None
    snapshot: Rows | None = None

    def __str__(self) -> str:
        return " ".join(map(str, (self.kind, *([self.row] if self.row is not None else []))))


BEGIN, COMMIT, ROLLBACK, TICK = (Operation(kind) for kind in ("begin", "commit", "rollback", "tick"))


def lock(row: Rows, snapshot: Rows | None = None) -> Operation:
    return Operation("lock", row, snapshot=snapshot)


def read(row: Rows) -> Operation:
    return Operation("read", row)


def write(row: Rows, value: Any) -> Operation:
    return Operation("write", row, value)


def insert(row: Rows, value: Any) -> Operation:
    return Operation("insert", row, value, Rows(f"{row.table}_pkey", row.columns))


Process: TypeAlias = Callable[[], Generator[Operation, Any, None]]
"""Yields operations and is sent their answers; `Failed` for one that failed."""


def fixed(*operations: Operation) -> Process:
    """A process that does the same whatever it is answered."""

    def process() -> Generator[Operation, Any, None]:
        for operation in operations:
            _ = yield operation

    return process


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str


@dataclass(slots=True)
class _Transaction:
    explicit: bool = False
    failed: bool = False
    writes: dict[Rows, Any] = field(default_factory=dict)
    locks: dict[Rows, Lock] = field(default_factory=dict)


class Simulator:
    """A program over the store.

    Args:
        processes: what runs.
        rows: what the store holds at the start.
        begun: the processes that are in a transaction from the start.
        tell_touched: whether situations say what the last step touched.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        rows: Mapping[Rows, Any],
        *,
        begun: Collection[int] = (),
        tell_touched: bool = True,
    ) -> None:
        self._processes = tuple(processes)
        self._rows = dict(rows)
        self._begun = frozenset(begun)
        self._tell_touched = tell_touched
        self.runs = 0

    @property
    def processes(self) -> int:
        return len(self._processes)

    async def run(self, choose: Chooser) -> Execution:
        self.runs += 1
        state = _State(self._processes, self._rows, self._begun)
        last: Step | None = None
        steps: list[Step] = []
        while ready := state.ready():
            situation = Situation(
                depth=len(steps),
                ready=ready,
                blocked=frozenset(state.waiting),
                last=None if last is None else last.process,
                touched=None if last is None or not self._tell_touched else last.touched,
            )
            process = choose(situation)
            if process is None:
                return Execution(tuple(steps), complete=False)
            last = state.step(process)
            steps.append(last)
        if state.waiting:
            raise AssertionError(f"nobody is ready and {sorted(state.waiting)} wait")
        return Execution(tuple(steps), complete=True, result=state.result())


class _State:
    def __init__(
        self, processes: Sequence[Process], rows: Mapping[Rows, Any], begun: Collection[int]
    ) -> None:
        self.store = dict(rows)
        self.store.setdefault(CLOCK, 0)
        self.owners: dict[Rows, int] = {}
        # In the order in which they came.
        self.waiting: dict[int, Rows] = {}
        self.transactions = [_Transaction(explicit=one in begun) for one in range(len(processes))]
        self.answers: list[list[Any]] = [[] for _ in processes]
        self.generators = [process() for process in processes]
        self.next: list[Operation | None] = [next(one, None) for one in self.generators]
        self.snapshots: dict[int, Any] = {}
        self.touched: set[Access] = set()
        self.woke: list[int] = []

    def ready(self) -> dict[int, Pending]:
        return {
            process: Pending(str(operation), self.pending(process))
            for process, operation in enumerate(self.next)
            if operation is not None and process not in self.waiting
        }

    def result(self) -> tuple[Any, ...]:
        rows = tuple(sorted((repr(row), repr(value)) for row, value in self.store.items()))
        return rows, tuple(tuple(map(repr, answers)) for answers in self.answers)

    def step(self, process: int) -> Step:
        operation = self.next[process]
        assert operation is not None
        self.touched, self.woke = set(), []
        self.take(process, operation)
        return Step(
            process,
            str(operation),
            Footprint(frozenset(self.touched)),
            blocked=process in self.waiting,
            woke=tuple(self.woke),
        )

    def take(self, process: int, operation: Operation) -> None:
        transaction = self.transactions[process]
        if operation.kind in {"commit", "rollback"}:
            answer = "rollback" if transaction.failed else operation.kind
            self.end(process, keep=answer == "commit")
            self.answer(process, answer)
        elif transaction.failed:
            self.answer(process, Failed("aborted"))
        elif operation.kind == "begin":
            transaction.explicit = True
            self.answer(process, "begin")
        elif operation.kind == "tick":
            self.touched |= _TICK.accesses
            self.store[CLOCK] += 1
            self.answer(process, "tick")
        elif operation.kind == "read":
            assert operation.row is not None
            self.touched.add(Access(Mode.READ, operation.row))
            self.answer(process, self.see(process, operation.row))
        else:
            if operation.snapshot is not None:
                self.touched.add(Access(Mode.READ, operation.snapshot))
                self.snapshots[process] = self.see(process, operation.snapshot)
            if self.acquire(process, operation):
                self.locked(process, operation)

    def see(self, process: int, row: Rows) -> Any:
        return self.transactions[process].writes.get(row, self.store.get(row))

    def acquire(self, process: int, operation: Operation) -> bool:
        """Take the operation's lock; else let it wait, or fail."""
        target, strength = _target(operation)
        if target in self.transactions[process].locks:
            return True
        self.touched.add(Access(Mode.LOCK, target, strength))
        owner = self.owners.get(target)
        if owner is None:
            self.own(process, operation)
            return True
        circle = [owner]
        while circle[-1] in self.waiting:
            circle.append(self.owners[self.waiting[circle[-1]]])
        if circle[-1] == process:
            self.touched |= WAITED.accesses
            self.fail(process, "deadlock")
        else:
            self.waiting[process] = target
        return False

    def own(self, process: int, operation: Operation) -> None:
        target, strength = _target(operation)
        self.owners[target] = process
        self.transactions[process].locks[target] = strength

    def locked(self, process: int, operation: Operation) -> None:
        """Do what an operation does once it has its lock."""
        transaction, row = self.transactions[process], operation.row
        assert row is not None
        seen = self.see(process, row)
        if operation.kind == "insert" and seen is not None:
            self.fail(process, "unique")
            return
        if operation.kind != "lock":
            value = operation.value
            transaction.writes[row] = value(seen) if callable(value) else value
        if not transaction.explicit:
            self.end(process, keep=True)
        self.answer(process, seen if operation.snapshot is None else (seen, self.snapshots.pop(process)))

    def fail(self, process: int, reason: str) -> None:
        explicit = self.transactions[process].explicit
        self.end(process, keep=False)
        self.transactions[process] = _Transaction(explicit, failed=explicit)
        self.answer(process, Failed(reason))

    def end(self, process: int, *, keep: bool) -> None:
        transaction, self.transactions[process] = self.transactions[process], _Transaction()
        if keep:
            self.store.update(transaction.writes)
            self.touched.update(Access(Mode.PUBLISH, row) for row in transaction.writes)
        for target, strength in transaction.locks.items():
            self.touched.add(Access(Mode.RELEASE, target, strength))
            del self.owners[target]
        for target in transaction.locks:
            self.wake(target)

    def wake(self, target: Rows) -> None:
        """Complete the operation that has waited longest for a lock, if it is free."""
        first = next((process for process, row in self.waiting.items() if row == target), None)
        if first is None or target in self.owners:
            return
        operation = self.next[first]
        assert operation is not None
        del self.waiting[first]
        self.woke.append(first)
        self.touched.add(Access(Mode.LOCK, *_target(operation)))
        self.own(first, operation)
        self.locked(first, operation)

    def answer(self, process: int, answer: Any) -> None:
        self.answers[process].append(answer)
        try:
            self.next[process] = self.generators[process].send(answer)
        except StopIteration:
            self.next[process] = None

    def pending(self, process: int) -> Footprint:
        """What a process's next operation touches, as far as can be said before."""
        operation, transaction = self.next[process], self.transactions[process]
        assert operation is not None
        if operation.kind in {"commit", "rollback"}:
            return self.ending(transaction, keep=operation.kind == "commit")
        if operation.kind == "tick":
            return _TICK
        if operation.kind == "read":
            assert operation.row is not None
            return Footprint.of(Access(Mode.READ, operation.row))
        if operation.kind == "begin":
            return NOTHING
        return self.pending_lock(operation, transaction)

    def pending_lock(self, operation: Operation, transaction: _Transaction) -> Footprint:
        target, strength = _target(operation)
        snapshot = operation.snapshot
        found = NOTHING if snapshot is None else Footprint.of(Access(Mode.READ, snapshot))
        if target in transaction.locks:
            return found
        found |= Footprint.of(Access(Mode.LOCK, target, strength))
        if not transaction.explicit:
            assert operation.row is not None
            writes = {} if operation.kind == "lock" else {operation.row: None}
            alone = _Transaction(writes=writes, locks={target: strength})
            found |= self.ending(alone, keep=True)
        return found

    def ending(self, transaction: _Transaction, *, keep: bool) -> Footprint:
        published = [Access(Mode.PUBLISH, row) for row in transaction.writes] if keep else []
        released = [Access(Mode.RELEASE, row, strength) for row, strength in transaction.locks.items()]
        woken = [
            Footprint.of(Access(Mode.LOCK, row, transaction.locks[row]))
            for row in self.waiting.values()
            if row in transaction.locks
        ]
        return union([Footprint.of(*published, *released), *woken])


_TICK = Footprint.of(Access(Mode.PUBLISH, CLOCK), Access(Mode.LOCK, CLOCK, Lock.UPDATE))


def _target(operation: Operation) -> tuple[Rows, Lock]:
    if operation.index is not None:
        return operation.index, Lock.UPDATE
    assert operation.row is not None
    return operation.row, Lock.NO_KEY_UPDATE
