"""Schedules to draw."""

from __future__ import annotations

from pgweave.interleavings.execution import Execution, Step
from pgweave.timeline.model import Timeline, TimelineOperation, from_execution

READ = "SELECT payment_id, state, amount_cents FROM payments WHERE payment_id = $1"
LOCK = f"{READ} FOR UPDATE"
LOOK_UP = "SELECT status, body FROM capture_attempts WHERE payment_id = $1 AND idempotency_key = $2"
CLOCK = "SELECT payment_clock()"
UPDATE = "UPDATE payments SET state = 'captured', captured_at = $2 WHERE payment_id = $1"
INSERT = "INSERT INTO capture_attempts (payment_id, idempotency_key, status) VALUES ($1, $2, $3)"


def step(
    process: int,
    label: str,
    answer: str = "",
    *,
    blocked: bool = False,
    woke: tuple[int, ...] = (),
    **details: object,
) -> Step:
    return Step(process, label, blocked=blocked, woke=woke, details={"answer": answer, **details})


def lost_update() -> Timeline:
    """Both read the payment before either writes; no row lock makes the second wait."""
    steps = (
        step(0, "BEGIN", "BEGIN"),
        step(1, "BEGIN", "BEGIN"),
        step(0, READ, "SELECT 1", values=("'pay_1'",)),
        step(1, READ, "SELECT 1", values=("'pay_1'",)),
        step(0, LOOK_UP, "SELECT 0", values=("'pay_1'", "'k1'")),
        step(1, LOOK_UP, "SELECT 0", values=("'pay_1'", "'k2'")),
        step(0, CLOCK, "SELECT 1"),
        step(2, "clock → window's end − 1 µs"),
        step(1, CLOCK, "SELECT 1"),
        step(0, UPDATE, "UPDATE 1", values=("'pay_1'", "'2026-01-01 00:00:00+00'")),
        step(1, UPDATE, "UPDATE 1", values=("'pay_1'", "'2026-01-01 00:59:59.999999+00'"), blocked=True),
        step(0, INSERT, "INSERT 0 1", values=("'pay_1'", "'k1'", "201")),
        step(0, "COMMIT", "COMMIT", woke=(1,)),
        step(1, INSERT, "INSERT 0 1", values=("'pay_1'", "'k2'", "201")),
        step(1, "COMMIT", "COMMIT"),
    )
    return from_execution(
        Execution(steps, complete=True),
        ("capture k1", "capture k2", "clock"),
        title="Two clients capture one payment without a row lock",
        subtitle="schedule 0 1 0 1 0 1 0 2 1 0 1 0 0 1 1, the first of 16 that violates",
        operations=(
            TimelineOperation(0, "capture k1 500", "201 captured", first=0, last=12),
            TimelineOperation(
                1,
                "capture k2 500",
                "201 captured",
                expected="409 already_captured",
                first=1,
                last=14,
                is_violation=True,
            ),
        ),
        verdict="violated: the history is not linearizable",
        explanation=(
            'payment "pay_1": a longest linearizable prefix places 1 of 2 answered operations\n'
            "                initially                           authorized\n"
            "  1  process 0  capture k1 500 -> 201 captured      captured\n\n"
            "one of these has to come next, and none can; where the state is captured\n"
            "  A  process 1  capture k2 500 -> 201 captured  but the model answers 409 already_captured"
        ),
        parts_at=14,
    )


def blocked() -> Timeline:
    """The second waits for the first one's row lock, and is refused; a third gives up waiting."""
    steps = (
        step(1, "BEGIN", "BEGIN"),
        step(1, LOCK, "SELECT 1", values=("'pay_1'",)),
        step(0, "BEGIN", "BEGIN"),
        step(0, LOCK, "SELECT 1", values=("'pay_1'",), blocked=True),
        step(2, LOCK, error="canceling statement due to lock timeout", blocked=True),
        step(1, UPDATE, "UPDATE 1"),
        step(3, "clock +1 s", woke=(2,)),
        step(1, "COMMIT", "COMMIT", woke=(0,)),
        step(0, LOOK_UP, "SELECT 0"),
        step(0, INSERT, "INSERT 0 1"),
        step(0, "COMMIT", "COMMIT"),
    )
    return from_execution(
        Execution(steps, complete=True),
        ("capture k1", "capture k2", "sweeper", "clock"),
        title="The row lock makes the second wait",
        operations=(
            TimelineOperation(1, "capture k2 500", "201 captured", first=0, last=7),
            TimelineOperation(0, "capture k1 500", "409 already_captured", first=2, last=10),
            TimelineOperation(2, "expire", "503 busy", first=4, last=4),
        ),
        verdict="holds",
    )
