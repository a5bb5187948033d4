"""Payments and attempts put into a store through its port."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from payments_core.domain.capture import Answer, CaptureAttempt, CaptureOutcome
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from tests.support.stores import NOON, Kit

KEY = IdempotencyKey("key")
FULL = Amount(500)
SHORT, LONG = CaptureWindow(SECOND), CaptureWindow(3600 * SECOND)


async def created(kit: Kit, number: int | None = None) -> Payment:
    """A pending payment of 500 cents, under a number as its id or under a random one."""
    payment_id = uuid4() if number is None else UUID(int=number)
    return (await kit.store.create(payment_id, FULL)).snapshot.payment


async def authorized(kit: Kit, window: CaptureWindow = LONG) -> Payment:
    """An authorized payment of 500 cents."""
    payment = await created(kit)
    return await _moved(kit, payment.authorize(window, payment.created_at))


async def in_state(kit: Kit, state: PaymentState) -> Payment:
    """A payment of 500 cents in that state."""
    if state is PaymentState.PENDING:
        return await created(kit)
    payment = await authorized(kit)
    if state is PaymentState.CAPTURED:
        return await _moved(kit, payment.capture(FULL, NOON), success(payment, NOON, "first"))
    if state is PaymentState.FAILED:
        return await _moved(kit, payment.fail(FailureReason.VOIDED, NOON))
    return payment


async def store_attempts(kit: Kit, payment: Payment, attempts: Sequence[CaptureAttempt]) -> None:
    """Store attempts one after another."""
    for attempt in attempts:
        async with kit.store.lock(payment.payment_id, IdempotencyKey(attempt.key)) as locked:
            assert locked is not None
            await locked.commit(attempt=attempt)


def refusal(payment: Payment, key: str = "key", now: int = NOON) -> CaptureAttempt:
    """An attempt for 501 cents that was refused, with a body that no text encoding can hold."""
    answer = Answer(409, b'{"any": "bytes"}\x00\xff\r\n')
    return CaptureAttempt(payment.payment_id, key, 501, CaptureOutcome.NOT_AUTHORIZED, now, answer)


def success(payment: Payment, now: int, key: str = "key") -> CaptureAttempt:
    """The attempt that captures 500 cents."""
    return CaptureAttempt(payment.payment_id, key, 500, CaptureOutcome.CAPTURED, now, Answer(201, b"{}"))


async def _moved(kit: Kit, payment: Payment, attempt: CaptureAttempt | None = None) -> Payment:
    key = None if attempt is None else IdempotencyKey(attempt.key)
    async with kit.store.lock(payment.payment_id, key) as locked:
        assert locked is not None
        await locked.commit(payment=payment, attempt=attempt)
    return payment
