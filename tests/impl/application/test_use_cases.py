"""Every use case over both stores: what it does, what it refuses, and that a refusal moves nothing."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from payments_core.application.dto import CaptureResult, Cursor
from payments_core.application.use_cases import (
    AuthorizePayment,
    CapturePayment,
    CreatePayment,
    ExpirePayments,
    FailPayment,
    GetPayment,
)
from payments_core.domain.capture import Answer, CaptureDecision, CaptureOutcome
from payments_core.domain.errors import (
    IdempotencyKeyReused,
    PaymentIdConflict,
    PaymentNotFound,
    Refusal,
    TransitionRefused,
)
from payments_core.domain.payment import REFUSAL_IN_STATE, FailureReason, PaymentState
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from tests.support.payments import FULL, KEY, LONG, SHORT, authorized, created, in_state
from tests.support.stores import NOON, Contents, Kit

pytestmark = pytest.mark.anyio

STATUS = {CaptureOutcome.CAPTURED: 201, CaptureOutcome.AMOUNT_MISMATCH: 422}


def write(decision: CaptureDecision) -> Answer:
    """An answer whose bytes show when it was written."""
    body = f"{decision.outcome.value} {decision.amount_cents} at {decision.decided_at}\x00".encode()
    return Answer(STATUS.get(decision.outcome, 409), body)


async def capture(kit: Kit, payment_id: UUID, key: str = "key", cents: int = 500) -> CaptureResult:
    return await CapturePayment(kit.store, write)(payment_id, IdempotencyKey(key), Amount(cents))


# ---- create and read ----------------------------------------------------------------------------


async def test_creating_is_safe_to_repeat(kit: Kit) -> None:
    create, payment_id = CreatePayment(kit.store), uuid4()
    first = await create(payment_id, FULL)
    again = await create(payment_id, FULL)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.snapshot == again.snapshot


async def test_an_id_belongs_to_the_amount_it_was_created_with(kit: Kit) -> None:
    payment = await authorized(kit)
    before = await kit.contents()
    with pytest.raises(PaymentIdConflict):
        await CreatePayment(kit.store)(payment.payment_id, Amount(501))
    assert await kit.contents() == before


async def test_reading(kit: Kit) -> None:
    payment, get = await created(kit), GetPayment(kit.store)
    snapshot = await get(payment.payment_id)
    assert (snapshot.payment, snapshot.as_of) == (payment, NOON)
    assert (await get.page(None, 5)).payments == (payment,)
    assert (await get.page(Cursor(NOON, payment.payment_id), 5)).payments == ()
    assert (await get.attempts(payment.payment_id, 0, 1)).attempts == ()
    result = await capture(kit, payment.payment_id)
    (attempt,) = (await get.attempts(payment.payment_id, 0, 1)).attempts
    assert attempt.answer == result.answer


@pytest.mark.invariant("I11")
async def test_nothing_is_done_to_a_payment_that_does_not_exist(kit: Kit) -> None:
    payment_id = uuid4()
    requests = [
        GetPayment(kit.store)(payment_id),
        GetPayment(kit.store).attempts(payment_id, 0, 1),
        AuthorizePayment(kit.store)(payment_id, LONG),
        FailPayment(kit.store)(payment_id, FailureReason.VOIDED),
        capture(kit, payment_id),
    ]
    for request in requests:
        with pytest.raises(PaymentNotFound, match=str(payment_id)):
            await request
    assert await kit.contents() == Contents({}, {})


# ---- authorize and fail -------------------------------------------------------------------------


@pytest.mark.invariant("I5")
async def test_authorizing_is_at_the_databases_time(kit: Kit) -> None:
    payment = await created(kit)
    await kit.set_clock(NOON + 3)
    snapshot = await AuthorizePayment(kit.store)(payment.payment_id, CaptureWindow(7))
    assert snapshot.payment == payment.authorize(CaptureWindow(7), NOON + 3)
    assert snapshot.as_of == NOON + 3
    assert (await kit.contents()).payments == {payment.payment_id: snapshot.payment}


@pytest.mark.parametrize("reason", [FailureReason.DECLINED, FailureReason.VOIDED])
async def test_failing_is_at_the_databases_time(kit: Kit, reason: FailureReason) -> None:
    payment = await authorized(kit)
    await kit.set_clock(NOON + 3)
    snapshot = await FailPayment(kit.store)(payment.payment_id, reason)
    assert snapshot.payment == payment.fail(reason, NOON + 3)
    assert snapshot.as_of == NOON + 3
    assert (await kit.contents()).payments == {payment.payment_id: snapshot.payment}


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("state", [s for s in PaymentState if s is not PaymentState.PENDING])
async def test_only_a_pending_payment_is_authorized(kit: Kit, state: PaymentState) -> None:
    payment = await in_state(kit, state)
    before = await kit.contents()
    with pytest.raises(TransitionRefused) as refused:
        await AuthorizePayment(kit.store)(payment.payment_id, LONG)
    assert refused.value.refusal is REFUSAL_IN_STATE[state]
    assert await kit.contents() == before


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("state", [s for s in PaymentState if s is not PaymentState.AUTHORIZED])
async def test_only_an_authorized_payment_fails(kit: Kit, state: PaymentState) -> None:
    payment = await in_state(kit, state)
    before = await kit.contents()
    with pytest.raises(TransitionRefused) as refused:
        await FailPayment(kit.store)(payment.payment_id, FailureReason.VOIDED)
    assert refused.value.refusal is REFUSAL_IN_STATE[state]
    assert await kit.contents() == before


# ---- capture ------------------------------------------------------------------------------------


async def test_a_capture_moves_the_payment_and_stores_its_answer(kit: Kit) -> None:
    payment = await authorized(kit)
    await kit.set_clock(NOON + 3)
    result = await capture(kit, payment.payment_id)
    answer = Answer(201, f"captured 500 at {NOON + 3}\x00".encode())
    assert result == CaptureResult(answer, replayed=False, outcome=CaptureOutcome.CAPTURED)
    contents = await kit.contents()
    assert contents.payments == {payment.payment_id: payment.capture(FULL, NOON + 3)}
    (attempt,) = contents.attempts.values()
    assert (attempt.key, attempt.outcome, attempt.amount_cents) == ("key", CaptureOutcome.CAPTURED, 500)
    assert (attempt.decided_at, attempt.answer) == (NOON + 3, result.answer)


@pytest.mark.invariant("I11")
@pytest.mark.parametrize(
    ("state", "cents", "after", "outcome"),
    [
        (PaymentState.PENDING, 501, 0, CaptureOutcome.NOT_AUTHORIZED),
        (PaymentState.CAPTURED, 501, 3600 * SECOND, CaptureOutcome.ALREADY_CAPTURED),
        (PaymentState.FAILED, 501, 3600 * SECOND, CaptureOutcome.PAYMENT_FAILED),
        (PaymentState.AUTHORIZED, 501, 3600 * SECOND, CaptureOutcome.CAPTURE_WINDOW_EXPIRED),
        (PaymentState.AUTHORIZED, 500, 3600 * SECOND, CaptureOutcome.CAPTURE_WINDOW_EXPIRED),
        (PaymentState.AUTHORIZED, 501, 3600 * SECOND - 1, CaptureOutcome.AMOUNT_MISMATCH),
    ],
)
async def test_a_refused_capture_is_stored_and_moves_nothing(
    kit: Kit, state: PaymentState, cents: int, after: int, outcome: CaptureOutcome
) -> None:
    payment = await in_state(kit, state)
    await kit.set_clock(NOON + after)
    before = await kit.contents()
    result = await capture(kit, payment.payment_id, cents=cents)
    assert not result.replayed
    assert result.answer.body.startswith(outcome.value.encode())
    contents = await kit.contents()
    assert contents.payments == before.payments
    assert set(contents.attempts) - set(before.attempts) == {(payment.payment_id, "key")}
    attempt = contents.attempts[payment.payment_id, "key"]
    assert (attempt.outcome, attempt.amount_cents, attempt.decided_at) == (outcome, cents, NOON + after)
    assert attempt.answer == result.answer


@pytest.mark.invariant("I5")
async def test_the_last_microsecond_of_the_window_counts(kit: Kit) -> None:
    payment = await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND - 1)
    assert (await capture(kit, payment.payment_id)).answer.status == 201


@pytest.mark.invariant("I3")
async def test_a_retry_gets_the_same_bytes_whatever_happened_since(kit: Kit) -> None:
    payment = await created(kit)
    refused = await capture(kit, payment.payment_id, "early")
    await AuthorizePayment(kit.store)(payment.payment_id, LONG)
    await kit.set_clock(NOON + 5)
    captured = await capture(kit, payment.payment_id, "in time")
    await kit.set_clock(NOON + 7200 * SECOND)
    before = await kit.contents()
    for key, first in (("early", refused), ("in time", captured)):
        again = await capture(kit, payment.payment_id, key)
        assert again == replace(first, replayed=True)
    assert await kit.contents() == before


@pytest.mark.invariant("I4")
async def test_a_key_is_not_for_another_amount(kit: Kit) -> None:
    payment = await authorized(kit)
    await capture(kit, payment.payment_id, cents=501)
    before = await kit.contents()
    with pytest.raises(IdempotencyKeyReused):
        await capture(kit, payment.payment_id, cents=500)
    assert await kit.contents() == before
    assert (await capture(kit, payment.payment_id, cents=501)).replayed


async def test_case_and_spaces_make_another_key(kit: Kit) -> None:
    payment = await authorized(kit)
    for key in ("key", "Key", " key", "key "):
        assert not (await capture(kit, payment.payment_id, key)).replayed
    assert len((await kit.contents()).attempts) == 4


async def test_one_key_on_two_payments(kit: Kit) -> None:
    for payment in (await authorized(kit), await authorized(kit)):
        result = await capture(kit, payment.payment_id)
        assert (result.answer.status, result.replayed) == (201, False)


async def test_an_answer_that_cannot_be_written_stores_nothing(kit: Kit) -> None:
    payment = await authorized(kit)
    before = await kit.contents()

    def broken(decision: CaptureDecision) -> Answer:
        raise ZeroDivisionError(decision.key)

    with pytest.raises(ZeroDivisionError):
        await CapturePayment(kit.store, broken)(payment.payment_id, KEY, FULL)
    assert await kit.contents() == before
    assert (await capture(kit, payment.payment_id)).answer.status == 201


# ---- expire -------------------------------------------------------------------------------------


async def test_expiring_takes_a_batch_of_the_due_at_a_time(kit: Kit) -> None:
    due = [await authorized(kit, SHORT) for _ in range(3)]
    await created(kit)
    later = await authorized(kit)
    expire = ExpirePayments(kit.store)
    assert list(await expire(10)) == []
    await kit.set_clock(NOON + SECOND)
    batches = [await expire(2), await expire(2), await expire(2)]
    assert [len(batch) for batch in batches] == [2, 1, 0]
    expected = {payment.payment_id: payment.expire(NOON + SECOND) for payment in due}
    assert {p.payment_id: p for batch in batches for p in batch} == expected
    contents = await kit.contents()
    assert expected.items() <= contents.payments.items()
    assert contents.payments[later.payment_id] == later
    assert contents.attempts == {}


@pytest.mark.invariant("I2")
async def test_an_expired_payment_refuses_what_comes_after(kit: Kit) -> None:
    payment = await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND)
    await ExpirePayments(kit.store)(10)
    assert (await capture(kit, payment.payment_id)).answer.body.startswith(b"payment_failed")
    with pytest.raises(TransitionRefused) as refused:
        await FailPayment(kit.store)(payment.payment_id, FailureReason.VOIDED)
    assert refused.value.refusal is Refusal.PAYMENT_FAILED
