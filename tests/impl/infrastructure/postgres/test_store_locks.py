"""Both stores keep the port's contract: locks, commits, and payments that are due."""

from __future__ import annotations

import asyncio

import pytest

from payments_core.domain.capture import CaptureAttempt
from payments_core.domain.errors import TransitionRefused
from payments_core.domain.payment import FailureReason, Payment, PaymentState
from payments_core.domain.values import SECOND, Amount, CaptureWindow
from tests.support.payments import KEY, SHORT, authorized, created, refusal, success
from tests.support.stores import NOON, Contents, Kit, attempts

pytestmark = pytest.mark.anyio

A_MOMENT_S = 0.05
LIMIT_S = 20


@pytest.mark.invariant("I6")
async def test_payment_and_attempt_are_stored_together(kit: Kit) -> None:
    payment = await authorized(kit)
    moved, attempt = payment.capture(Amount(500), NOON), success(payment, NOON)
    async with kit.store.lock(payment.payment_id, KEY) as locked:
        assert locked is not None
        assert (locked.payment, locked.attempt, locked.now) == (payment, None, NOON)
        await locked.commit(payment=moved, attempt=attempt)
    assert await kit.contents() == Contents(
        {payment.payment_id: moved}, {(payment.payment_id, "key"): attempt}
    )


@pytest.mark.invariant("I11")
async def test_leaving_without_a_commit_stores_nothing(kit: Kit) -> None:
    payment = await authorized(kit)
    before = await kit.contents()
    async with kit.store.lock(payment.payment_id, KEY) as locked:
        assert locked is not None
    assert await kit.contents() == before
    assert await kit.store.get(payment.payment_id) is not None


class Interruption(Exception):
    """Raised in the middle of a block."""


async def test_an_error_in_the_block_stores_nothing_and_frees_the_lock(kit: Kit) -> None:
    payment = await authorized(kit)
    before = await kit.contents()
    for _ in range(10):
        with pytest.raises(Interruption):
            async with kit.store.lock(payment.payment_id, KEY):
                raise Interruption
    assert await kit.contents() == before
    async with asyncio.timeout(LIMIT_S), kit.store.lock(payment.payment_id) as locked:
        assert locked is not None
        await locked.commit(payment=payment.fail(FailureReason.VOIDED, locked.now))


async def test_an_error_after_the_commit_leaves_what_was_committed(kit: Kit) -> None:
    payment = await created(kit)

    async def commit_and_fail() -> None:
        async with kit.store.lock(payment.payment_id, KEY) as locked:
            assert locked is not None
            await locked.commit(attempt=refusal(payment))
            raise Interruption

    with pytest.raises(Interruption):
        await commit_and_fail()
    assert (await kit.contents()).attempts == {(payment.payment_id, "key"): refusal(payment)}


async def test_the_second_waits_and_reads_everything_after_its_wait(kit: Kit) -> None:
    payment = await authorized(kit)
    moved, attempt = payment.capture(Amount(500), NOON), success(payment, NOON)

    async def second() -> tuple[Payment, CaptureAttempt | None, int]:
        async with kit.store.lock(payment.payment_id, KEY) as locked:
            assert locked is not None
            return locked.payment, locked.attempt, locked.now

    async with kit.store.lock(payment.payment_id, KEY) as locked:
        assert locked is not None
        waiting = asyncio.create_task(second())
        await asyncio.sleep(A_MOMENT_S)
        assert not waiting.done()
        await kit.set_clock(NOON + 11)
        await locked.commit(payment=moved, attempt=attempt)
    assert await asyncio.wait_for(waiting, LIMIT_S) == (moved, attempt, NOON + 11)


@pytest.mark.invariant("I5")
async def test_the_second_reads_the_clock_after_its_wait_even_if_nothing_was_committed(kit: Kit) -> None:
    payment = await authorized(kit)

    async def second() -> int:
        async with kit.store.lock(payment.payment_id) as locked:
            assert locked is not None
            return locked.now

    async with kit.store.lock(payment.payment_id):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(A_MOMENT_S)
        assert not waiting.done()
        await kit.set_clock(NOON + 11)
    assert await asyncio.wait_for(waiting, LIMIT_S) == NOON + 11


async def test_payments_do_not_wait_for_each_other(kit: Kit) -> None:
    one, other = await created(kit), await created(kit)
    async with (
        asyncio.timeout(LIMIT_S),
        kit.store.lock(one.payment_id),
        kit.store.lock(other.payment_id) as locked,
    ):
        assert locked is not None
        assert locked.payment == other


async def test_a_look_does_not_wait_for_the_lock(kit: Kit) -> None:
    payment = await created(kit)
    async with asyncio.timeout(LIMIT_S), kit.store.lock(payment.payment_id):
        found = await kit.store.get(payment.payment_id)
        assert found is not None
        assert (await kit.store.page(None, 10)).payments == (payment,)
        assert await attempts(kit.store, payment.payment_id) == []


# ---- payments whose window has ended ------------------------------------------------------------


async def test_due_is_authorized_and_at_its_windows_end(kit: Kit) -> None:
    await created(kit)
    due = await authorized(kit, SHORT)
    await authorized(kit, CaptureWindow(SECOND + 1))
    failed = await authorized(kit, SHORT)
    async with kit.store.lock(failed.payment_id) as locked:
        assert locked is not None
        await locked.commit(payment=failed.fail(FailureReason.DECLINED, NOON))
    await kit.set_clock(NOON + SECOND - 1)
    async with kit.store.lock_due(10) as found:
        assert list(found.payments) == []
    await kit.set_clock(NOON + SECOND)
    async with kit.store.lock_due(10) as found:
        assert (list(found.payments), found.now) == ([due], NOON + SECOND)


async def test_the_due_are_committed_together(kit: Kit) -> None:
    payments = [await authorized(kit, SHORT) for _ in range(3)]
    await kit.set_clock(NOON + SECOND)
    before = await kit.contents()
    with pytest.raises(Interruption):
        async with kit.store.lock_due(10):
            raise Interruption
    async with kit.store.lock_due(10) as found:
        assert len(found.payments) == 3
    assert await kit.contents() == before
    async with kit.store.lock_due(10) as found:
        await found.commit([payment.expire(found.now) for payment in found.payments])
    expired = {payment.payment_id: payment.expire(NOON + SECOND) for payment in payments}
    assert await kit.contents() == Contents(expired, {})


async def test_at_most_as_many_as_asked_for(kit: Kit) -> None:
    for _ in range(3):
        await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND)
    async with kit.store.lock_due(2) as found:
        assert len(found.payments) == 2


async def test_the_due_leave_out_what_others_hold(kit: Kit) -> None:
    held, free = await authorized(kit, SHORT), await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND)
    async with asyncio.timeout(LIMIT_S):
        async with kit.store.lock(held.payment_id), kit.store.lock_due(10) as found:
            assert list(found.payments) == [free]
        async with kit.store.lock(held.payment_id), kit.store.lock_due(1) as found:
            assert list(found.payments) == [free]  # it looks further where others have all that it finds
        async with kit.store.lock_due(1) as one, kit.store.lock_due(10) as others:
            assert len(one.payments) == len(others.payments) == 1
            assert {*one.payments, *others.payments} == {held, free}


async def test_the_due_are_locked(kit: Kit) -> None:
    payment = await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND)

    async def second() -> PaymentState:
        async with kit.store.lock(payment.payment_id) as locked:
            assert locked is not None
            return locked.payment.state

    async with kit.store.lock_due(10) as found:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(A_MOMENT_S)
        assert not waiting.done()
        await found.commit([payment.expire(found.now)])
    assert await asyncio.wait_for(waiting, LIMIT_S) is PaymentState.FAILED


async def test_the_due_are_not_read_before_a_waiter_has_moved_them(kit: Kit) -> None:
    payment = await authorized(kit, SHORT)
    await kit.set_clock(NOON + SECOND)

    async def decline() -> None:
        async with kit.store.lock(payment.payment_id) as locked:
            assert locked is not None
            await locked.commit(payment=locked.payment.fail(FailureReason.DECLINED, locked.now))

    async with kit.store.lock(payment.payment_id):
        waiting = asyncio.create_task(decline())
        await asyncio.sleep(A_MOMENT_S)
    # The waiter has the next turn at the lock; whoever looks for due payments now may not overtake it.
    async with asyncio.timeout(LIMIT_S), kit.store.lock_due(10) as found:
        assert all(each.state is PaymentState.AUTHORIZED for each in found.payments)
        if found.payments:
            await found.commit([each.expire(found.now) for each in found.payments])
    try:
        await asyncio.wait_for(waiting, LIMIT_S)
        winner = FailureReason.DECLINED
    except TransitionRefused:
        winner = FailureReason.EXPIRED
    (kept,) = (await kit.contents()).payments.values()
    assert kept.failure_reason is winner


@pytest.mark.invariant("I5")
async def test_a_window_ends_at_its_microsecond(kit: Kit) -> None:
    payment = await authorized(kit, CaptureWindow(7))
    await kit.set_clock(NOON + 6)
    async with kit.store.lock_due(1) as found:
        assert list(found.payments) == []
    await kit.set_clock(NOON + 7)
    async with kit.store.lock_due(1) as found:
        await found.commit([payment.expire(found.now)])
    assert (await kit.contents()).payments == {payment.payment_id: payment.expire(NOON + 7)}
