"""Captures of a payment over the simulated store, correct and broken."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pgweave.interleavings.footprint import Rows
from tests.pgweave.interleavings.simulator import (
    BEGIN,
    CLOCK,
    COMMIT,
    ROLLBACK,
    TICK,
    Operation,
    Process,
    Simulator,
    insert,
    lock,
    read,
    write,
)

PAYMENT = Rows("payments", {"id": 1})
DEADLINE = 1


def attempt(key: str) -> Rows:
    return Rows("attempts", {"id": 1, "key": key})


def capture(key: str, *, locking: bool = True) -> Process:
    def process() -> Generator[Operation, Any, None]:
        yield BEGIN
        state = yield (lock if locking else read)(PAYMENT)
        found = yield read(attempt(key))
        now = yield read(CLOCK)
        if found is not None:
            yield ROLLBACK
            return
        outcome = "succeeded"
        if state == "captured":
            outcome = "refused"
        elif now >= DEADLINE:
            outcome = "expired"
        else:
            yield write(PAYMENT, "captured")
        yield insert(attempt(key), outcome)
        yield COMMIT

    return process


def ticks(count: int) -> Process:
    def process() -> Generator[Operation, Any, None]:
        for _ in range(count):
            yield TICK

    return process


def captures(*keys: str, clock: int = 0, locking: bool = True) -> Simulator:
    """One capture for each key, and so many movements of the clock."""
    processes = [capture(key, locking=locking) for key in keys]
    return Simulator([*processes, ticks(clock)] if clock else processes, {PAYMENT: "authorized"})
