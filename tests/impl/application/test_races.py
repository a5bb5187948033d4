"""Requests that race: one winner, the same answer to one key, and nothing that is left waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from uuid import UUID

import pytest

from payments_core.application.dto import CaptureResult
from payments_core.application.use_cases import CapturePayment, ExpirePayments, FailPayment
from payments_core.domain.errors import IdempotencyKeyReused, TransitionRefused
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import SECOND, Amount, IdempotencyKey
from payments_core.entrypoints.http.views import capture_answer
from tests.support.payments import SHORT, authorized
from tests.support.stores import NOON, Kit

pytestmark = pytest.mark.anyio

RACERS = 20
A_MOMENT_S = 0.05
LIMIT_S = 30


async def capture(kit: Kit, payment_id: UUID, key: str, cents: int = 500) -> CaptureResult:
    return await CapturePayment(kit.store, capture_answer)(payment_id, IdempotencyKey(key), Amount(cents))


@pytest.mark.invariant("I1")
async def test_of_many_captures_one_succeeds(kit: Kit) -> None:
    payment = await authorized(kit)
    async with asyncio.timeout(LIMIT_S):
        results = await asyncio.gather(*(capture(kit, payment.payment_id, f"{n}") for n in range(RACERS)))
    assert Counter(result.answer.status for result in results) == {201: 1, 409: RACERS - 1}
    assert not any(result.replayed for result in results)
    contents = await kit.contents()
    assert {(key, attempt.answer.status) for (_, key), attempt in contents.attempts.items()} == {
        (f"{n}", result.answer.status) for n, result in enumerate(results)
    }
    assert contents.payments == {payment.payment_id: payment.capture(Amount(500), NOON)}


@pytest.mark.invariant("I3")
async def test_of_many_captures_with_one_key_one_is_decided(kit: Kit) -> None:
    payment = await authorized(kit)
    async with asyncio.timeout(LIMIT_S):
        results = await asyncio.gather(*(capture(kit, payment.payment_id, "key") for _ in range(RACERS)))
    assert Counter(result.replayed for result in results) == {False: 1, True: RACERS - 1}
    assert {result.answer.status for result in results} == {201}
    assert len({result.answer.body for result in results}) == 1
    assert len((await kit.contents()).attempts) == 1


@pytest.mark.invariant("I4")
async def test_of_many_amounts_under_one_key_one_is_decided(kit: Kit) -> None:
    payment = await authorized(kit)
    async with asyncio.timeout(LIMIT_S):
        results = await asyncio.gather(
            *(capture(kit, payment.payment_id, "key", 500 + n % 2) for n in range(RACERS)),
            return_exceptions=True,
        )
    answered = [result for result in results if isinstance(result, CaptureResult)]
    refused = [result for result in results if isinstance(result, IdempotencyKeyReused)]
    assert (len(answered), len(refused)) == (RACERS // 2, RACERS // 2)
    assert Counter(result.replayed for result in answered) == {False: 1, True: RACERS // 2 - 1}
    assert len((await kit.contents()).attempts) == 1


@pytest.mark.invariant("I3")
async def test_the_second_of_two_with_one_key_waits_and_answers_as_the_first(kit: Kit) -> None:
    payment = await authorized(kit)
    async with asyncio.timeout(LIMIT_S):
        async with kit.store.lock(payment.payment_id):
            first = asyncio.create_task(capture(kit, payment.payment_id, "key"))
            await asyncio.sleep(A_MOMENT_S)
            second = asyncio.create_task(capture(kit, payment.payment_id, "key"))
            await asyncio.sleep(A_MOMENT_S)
            assert not first.done()
            assert not second.done()
        results = await asyncio.gather(first, second)
    assert results[0].answer == results[1].answer
    assert sorted(result.replayed for result in results) == [False, True]


@pytest.mark.invariant("I5")
async def test_a_capture_that_waited_past_the_window_is_too_late(kit: Kit) -> None:
    payment = await authorized(kit, SHORT)
    async with asyncio.timeout(LIMIT_S):
        async with kit.store.lock(payment.payment_id):
            waiting = asyncio.create_task(capture(kit, payment.payment_id, "key"))
            await asyncio.sleep(A_MOMENT_S)
            await kit.set_clock(NOON + SECOND)
        result = await waiting
    assert b"/problems/capture_window_expired" in result.answer.body
    assert (await kit.contents()).payments == {payment.payment_id: payment}


async def test_captures_and_failures_race(kit: Kit) -> None:
    payments = [await authorized(kit) for _ in range(RACERS)]

    async def fail(payment: Payment) -> None:
        with suppress(TransitionRefused):
            await FailPayment(kit.store)(payment.payment_id, FailureReason.VOIDED)

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(
            *(request for p in payments for request in (fail(p), capture(kit, p.payment_id, "key")))
        )
    contents = await kit.contents()
    for payment in payments:
        state = contents.payments[payment.payment_id].state
        status = contents.attempts[payment.payment_id, "key"].answer.status
        assert (state, status) in {(PaymentState.CAPTURED, 201), (PaymentState.FAILED, 409)}


@pytest.mark.invariant("I9")
async def test_sweepers_share_the_work(kit: Kit) -> None:
    payments = {(await authorized(kit, SHORT)).payment_id for _ in range(RACERS)}
    await kit.set_clock(NOON + SECOND)

    async def sweep() -> list[UUID]:
        swept: list[UUID] = []
        while batch := await ExpirePayments(kit.store)(3):
            swept += [payment.payment_id for payment in batch]
        return swept

    async with asyncio.timeout(LIMIT_S):
        shares = await asyncio.gather(*(sweep() for _ in range(3)))
    assert sorted(each for share in shares for each in share) == sorted(payments)
    assert {p.failure_reason for p in (await kit.contents()).payments.values()} == {FailureReason.EXPIRED}
