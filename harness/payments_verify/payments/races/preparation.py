"""What brings payments to where a race begins: commands, and what the model stores after them.

Commands lead to records, and back: a record says of each decision what it was and when. It does not say in
which order decisions of one instant were made; the lifecycle does. A capture that was refused because the
payment was not authorized came before the authorization, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from payments_model import (
    Attempt,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Record,
)
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.scenarios.catalogue import Actor, Client, Command, Sweeper, Tick
from payments_verify.payments.specification.oracle import answer

_REASONS = {FailureReason.DECLINED: "declined", FailureReason.VOIDED: "voided"}
_AFTER = (Outcome.ALREADY_CAPTURED, Outcome.PAYMENT_FAILED)

Timed = tuple[int, Command]
"""A command and the instant at which it was decided, in µs."""


@dataclass(frozen=True)
class Wait:
    """The database's clock moves on by so many µs."""

    us: int


Before: TypeAlias = Command | Wait | Sweeper
"""What happens before a race, one after the other."""


def records_after(before: Iterable[Before], start: int, payments: int = 1) -> tuple[tuple[Record, ...], int]:
    """What the model stores of each payment, and where the clock stands, after some commands.

    What a sweep expires is left as it was: when its window ends does not change.

    Args:
        before: the commands.
        start: where the clock stands when they begin, in µs.
        payments: how many payments there are.
    """
    records, now = [Record()] * payments, start
    for each in before:
        if isinstance(each, Wait):
            now += each.us
        elif isinstance(each, Command):
            asked = Invocation(each.f, each.arguments)
            records[each.payment], _ = answer(records[each.payment], asked, now)
    return tuple(records), now


def payments_of(before: Iterable[Before], actors: Iterable[Actor]) -> Iterator[int]:
    """The payments that are asked for, as often as they are."""
    for each in (*before, *actors):
        match each:
            case Command() | Tick():
                yield each.payment
            case Client():
                yield from (command.payment for command in each.commands)


def with_its_window(each: Before, traits: Traits) -> Before:
    """What comes before a race; an authorization has the window that the service gives it."""
    if not isinstance(each, Command) or each.f != "authorize":
        return each
    return replace(each, arguments=traits.asked(each.f, each.arguments))


def end_of_window(record: Record, of_one_to_come: int) -> int:
    """When a payment's window ends; of one that has none yet, when it would."""
    payment = record.payment
    if payment is None or isinstance(payment, Pending):
        return of_one_to_come
    return payment.capture_expires_at


def can_be_commanded(record: Record) -> bool:
    """Whether the commands of clients alone lead to a record: not where a sweep has expired the payment.

    A sweep done again would expire others with it.
    """
    payment = record.payment
    return payment is not None and not (
        isinstance(payment, Failed) and payment.reason is FailureReason.EXPIRED
    )


def commands_leading_to(records: Sequence[Record], now: int) -> tuple[int, tuple[Before, ...]]:
    """The fewest commands that lead to what is stored of some payments.

    Args:
        records: what is stored of each; commands alone lead to each.
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
