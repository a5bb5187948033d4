"""Small random programs over the simulated store: lost updates, deadlocks, rollbacks, duplicate rows."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgweave.interleavings.footprint import Rows
from tests.pgweave.interleavings.simulator import (
    CLOCK,
    COMMIT,
    ROLLBACK,
    TICK,
    Failed,
    Operation,
    Process,
    Simulator,
    insert,
    lock,
    read,
    write,
)

ROWS = [Rows("accounts", {"id": number}) for number in (1, 2, 3)]
NEW = [Rows("entries", {"key": key}) for key in "ab"]


def random_program(seed: int, *, tell_touched: bool = True) -> Simulator:
    """Two processes of up to five operations, or three of up to three.

    In one program of three, all lock rows in any order, and there may be deadlocks; in the others there is a
    bit of everything.

    Args:
        seed: which one.
        tell_touched: as `Simulator` has it.
    """
    chance = random.Random(seed)
    count = chance.choice((2, 3, 3))
    crossing = chance.random() < 0.33
    kinds = _CROSSING if crossing else _ANYTHING
    rows = ROWS[:count] if crossing else ROWS[: chance.choice((1, 2))]
    begun = {process for process in range(count) if crossing or chance.random() < 0.75}
    processes = []
    for process in range(count):
        length = chance.randint(2 if crossing else 1, 4 if count == 2 else 2)
        middle = [random_operation(chance, kinds, rows, number) for number in range(length)]
        processes.append(random_process(chance, middle, process in begun))
    return Simulator(processes, dict.fromkeys(ROWS, 0), begun=begun, tell_touched=tell_touched)


def random_process(chance: random.Random, middle: Sequence[Operation], transaction: bool) -> Process:
    end = COMMIT if chance.random() < 0.75 else ROLLBACK
    # Some transactions give up when a statement fails, some go on and are told so.
    gives_up = chance.random() < 0.5

    def process() -> Generator[Operation, Any, None]:
        seen = 0
        for operation in middle:
            if operation.kind == "write seen":
                operation = replace(operation, kind="write", value=seen + operation.value)  # noqa: PLW2901
            answer = yield operation
            if isinstance(answer, Failed) and gives_up:
                break
            if isinstance(answer, int):
                seen = answer
        if transaction:
            yield end

    return process


_ANYTHING = {
    "lock": 4,
    "lock seeing": 3,
    "read": 4,
    "write seen": 4,
    "add": 4,
    "insert": 4,
    "look": 2,
    "tick": 1,
    "clock": 1,
}
_CROSSING = {"lock": 4, "write seen": 2, "add": 2, "insert": 1}


def random_operation(
    chance: random.Random, kinds: Mapping[str, int], rows: Sequence[Rows], number: int
) -> Operation:
    row = chance.choice(rows)
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    return {
        "lock": lock(row),
        "lock seeing": lock(row, chance.choice([*rows, *NEW, CLOCK])),
        "read": read(row),
        "write seen": Operation("write seen", row, 10**number),
        "add": write(row, _Add(10**number)),
        "insert": insert(chance.choice(NEW), number),
        "look": read(chance.choice(NEW)),
        "tick": TICK,
        "clock": read(CLOCK),
    }[kind]


class _Add:
    """Adds to what a row holds when it is locked."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, seen: int) -> int:
        return seen + self.amount
