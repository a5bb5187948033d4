"""From what is stored of payments to the commands that lead there, one after the other.

A record says of each decision what it was and when. What it leaves open, how decisions of the same instant
follow each other, the lifecycle settles: a capture that was refused because the payment was not authorized
came before the authorization, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payments_model import (
    Attempt,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Record,
)
from payments_verify.payments.race_domain import Before, Wait
from payments_verify.payments.scenarios import Command

_REASONS = {FailureReason.DECLINED: "declined", FailureReason.VOIDED: "voided"}
_AFTER = (Outcome.ALREADY_CAPTURED, Outcome.PAYMENT_FAILED)

Timed = tuple[int, Command]
"""A command and the instant at which it was decided, in µs."""


def can_retrace(record: Record) -> bool:
    """Whether the commands of clients alone lead to a record: not where a sweep has expired the payment.

    A sweep done again would expire others with it.
    """
    payment = record.payment
    return payment is not None and not (
        isinstance(payment, Failed) and payment.reason is FailureReason.EXPIRED
    )


def retrace(records: Sequence[Record], now: int) -> tuple[int, tuple[Before, ...]]:
    """The fewest commands that lead to what is stored of some payments.

    Args:
        records: what is stored of each; each can be retraced.
        now: where the clock stands when all is done, in µs; no decision is later.

    Returns:
        Where the clock stands when they begin, in µs, and the commands.
    """
    timed = [each for number, record in enumerate(records) for each in _decisions(record, number, now)]
    timed.sort(key=lambda each: each[0])  # stable: what one payment's decisions have in order, they keep
    start = timed[0][0] if timed else now
    steps: list[Before] = []
    stands = start
    for instant, command in timed:
        if instant > stands:
            steps.append(Wait(instant - stands))
            stands = instant
        steps.append(command)
    if now > stands:
        steps.append(Wait(now - stands))
    return start, tuple(steps)


def _decisions(record: Record, number: int, now: int) -> Iterator[Timed]:
    """The decisions that a record shows, in their order."""
    payment = record.payment
    assert payment is not None
    moves = list(_moves(payment, number))
    decided = [
        *_attempts(record, number, (Outcome.NOT_AUTHORIZED,)),
        *moves[:1],
        *_attempts(record, number, (Outcome.AMOUNT_MISMATCH, Outcome.WINDOW_EXPIRED)),
        *_attempts(record, number, (Outcome.CAPTURED,)),
        *moves[1:],
        *_attempts(record, number, _AFTER),
    ]
    first = decided[0][0] if decided else now
    yield first, Command("create", {"amount": payment.amount}, number)
    yield from decided


def _moves(payment: Payment, number: int) -> Iterator[Timed]:
    """The authorization, and the failure; a capture is among the attempts."""
    if isinstance(payment, Pending):
        return
    window = payment.capture_expires_at - payment.authorized_at
    yield payment.authorized_at, Command("authorize", {"window": window}, number)
    if isinstance(payment, Failed):
        yield payment.failed_at, Command("fail", {"reason": _REASONS[payment.reason]}, number)


def _attempts(record: Record, number: int, outcomes: Sequence[Outcome]) -> list[Timed]:
    found = [(key, attempt) for key, attempt in record.attempts if attempt.outcome in outcomes]
    return [_capture(key, attempt, number) for key, attempt in sorted(found, key=_when)]


def _when(stored: tuple[str, Attempt]) -> tuple[int, str]:
    return stored[1].decided_at, stored[0]


def _capture(key: str, attempt: Attempt, number: int) -> Timed:
    return attempt.decided_at, Command("capture", {"key": key, "amount": attempt.amount}, number)
