"""Both stores keep the port's contract: what is created, read, paged and kept, to the microsecond."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from payments_core.application.dto import Cursor
from payments_core.domain.payment import Payment
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey
from tests.support.payments import KEY, authorized, created, refusal, store_attempts, success
from tests.support.stores import NOON, Contents, Kit, attempts

pytestmark = pytest.mark.anyio

# ---- create and get -----------------------------------------------------------------------------


async def test_a_new_payment_is_pending_since_now(kit: Kit) -> None:
    payment_id = uuid4()
    made = await kit.store.create(payment_id, Amount(500))
    assert made.is_new
    assert made.snapshot.payment == Payment(payment_id, 500, NOON)
    assert made.snapshot.as_of == NOON
    assert await kit.contents() == Contents({payment_id: Payment(payment_id, 500, NOON)}, {})


@pytest.mark.parametrize("cents", [500, 501])
async def test_creating_again_finds_the_first(kit: Kit, cents: int) -> None:
    first = await authorized(kit)
    await kit.set_clock(NOON + 7)
    before = await kit.contents()
    again = await kit.store.create(first.payment_id, Amount(cents))
    assert not again.is_new
    assert again.snapshot.payment == first
    assert again.snapshot.as_of == NOON + 7
    assert await kit.contents() == before


async def test_many_creators_of_one_payment(kit: Kit) -> None:
    payment_id = uuid4()
    made = await asyncio.gather(*(kit.store.create(payment_id, Amount(500 + n)) for n in range(10)))
    assert sum(each.is_new for each in made) == 1
    winner = next(each.snapshot.payment for each in made if each.is_new)
    assert {each.snapshot.payment for each in made} == {winner}


@pytest.mark.invariant("I8")
async def test_a_look_says_when_it_was(kit: Kit) -> None:
    payment = await created(kit)
    for now in (NOON + 1, NOON + 2, NOON - 5):
        await kit.set_clock(now)
        found = await kit.store.get(payment.payment_id)
        assert found is not None
        assert (found.payment, found.as_of) == (payment, now)


async def test_what_is_unknown(kit: Kit) -> None:
    await created(kit)
    assert await kit.store.get(uuid4()) is None
    assert await kit.store.attempts(uuid4(), 0, 1) is None
    async with kit.store.lock(uuid4(), KEY) as locked:
        assert locked is None


async def test_it_is_ready(kit: Kit) -> None:
    assert await kit.store.ready() is True


# ---- pages --------------------------------------------------------------------------------------


async def test_an_empty_page(kit: Kit) -> None:
    page = await kit.store.page(None, 10)
    assert (page.payments, page.as_of, page.next) == ((), NOON, None)


async def test_a_page_is_in_order_of_creation_then_id(kit: Kit) -> None:
    places = [(NOON + 2, 3), (NOON + 1, 9), (NOON + 2, 2**127), (NOON + 1, 2**64), (NOON + 2, 1)]
    for now, number in places:
        await kit.set_clock(now)
        await created(kit, number)
    page = await kit.store.page(None, 5)
    assert [(p.created_at, p.payment_id.int) for p in page.payments] == sorted(places)
    assert page.next is None


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_pages_show_every_payment_once(kit: Kit, limit: int) -> None:
    expected = []
    for number in range(5):
        await kit.set_clock(NOON + number // 2)
        expected.append(await created(kit, number + 1))
    seen: list[Payment] = []
    after: Cursor | None = None
    for turn in range(6):
        page = await kit.store.page(after, limit)
        assert len(page.payments) <= limit
        seen += page.payments
        after = page.next
        if after is None:
            break
        assert turn < 5
        assert (after.created_at, after.payment_id) == (seen[-1].created_at, seen[-1].payment_id)
    assert seen == expected


async def test_a_payment_created_between_pages_comes_last(kit: Kit) -> None:
    first, second = await created(kit, 1), await created(kit, 2)
    page = await kit.store.page(None, 1)
    assert page.payments == (first,)
    await kit.set_clock(NOON + 1)
    late = await created(kit, 0)
    rest = await kit.store.page(page.next, 10)
    assert rest.payments == (second, late)
    assert rest.as_of == NOON + 1


# ---- attempts -----------------------------------------------------------------------------------


async def test_attempts_are_in_the_order_of_their_decisions_whatever_the_clock_said(kit: Kit) -> None:
    payment, other = await created(kit), await created(kit)
    assert await attempts(kit.store, payment.payment_id) == []
    places = [(NOON + 1, "b"), (NOON, "a"), (NOON + 1, "B"), (NOON, " a"), (NOON, "a ")]
    await store_attempts(kit, payment, [refusal(payment, key, now) for now, key in places])
    await store_attempts(kit, other, [refusal(other, "a")])
    found = await attempts(kit.store, payment.payment_id)
    assert [(each.decided_at, each.key) for each in found] == places
    assert {each.payment_id for each in found} == {payment.payment_id}


async def test_pages_of_attempts_are_the_list_as_it_is_at_the_last(kit: Kit) -> None:
    payment = await created(kit)
    keys = [f"{number % 3}{number}" for number in range(5)]
    await store_attempts(kit, payment, [refusal(payment, key) for key in keys[:3]])
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await kit.store.attempts(payment.payment_id, after, 2)
        assert page is not None
        seen += [each.key for each in page.attempts]
        if len(seen) == 2:
            await store_attempts(kit, payment, [refusal(payment, key) for key in keys[3:]])
        after = page.next
    assert seen == keys
    beyond = await kit.store.attempts(payment.payment_id, 2**31 - 1, 2)
    assert beyond is not None
    assert (beyond.attempts, beyond.next) == ((), None)
    assert await kit.store.attempts(uuid4(), 1, 2) is None


@pytest.mark.invariant("I3")
async def test_an_attempt_is_kept_as_it_was(kit: Kit) -> None:
    payment = await created(kit)
    attempt = refusal(payment, " ~\"\\'%s key ", NOON + 3)
    await store_attempts(kit, payment, [attempt])
    assert await attempts(kit.store, payment.payment_id) == [attempt]
    async with kit.store.lock(payment.payment_id, IdempotencyKey(attempt.key)) as locked:
        assert locked is not None
        assert locked.attempt == attempt
    assert (await kit.contents()).attempts == {(payment.payment_id, attempt.key): attempt}


@pytest.mark.parametrize("key", ["Key", " key", "key ", "ke", "key2"])
async def test_another_key_is_another_attempt(kit: Kit, key: str) -> None:
    payment = await created(kit)
    await store_attempts(kit, payment, [refusal(payment)])
    async with kit.store.lock(payment.payment_id, IdempotencyKey(key)) as locked:
        assert locked is not None
        assert locked.attempt is None


async def test_a_key_belongs_to_its_payment(kit: Kit) -> None:
    payment, other = await created(kit), await created(kit)
    await store_attempts(kit, payment, [refusal(payment)])
    for locker in (kit.store.lock(other.payment_id, KEY), kit.store.lock(payment.payment_id)):
        async with locker as locked:
            assert locked is not None
            assert locked.attempt is None


# ---- instants -----------------------------------------------------------------------------------

YEAR_2255 = 2**53 - 1


@pytest.mark.parametrize(
    "now", [1, 999_999, 946_684_799_999_999, 946_684_800_000_000, NOON, YEAR_2255], ids=str
)
async def test_not_a_microsecond_is_lost(kit: Kit, now: int) -> None:
    await kit.set_clock(now)
    payment = await created(kit)
    assert payment.created_at == now
    async with kit.store.lock(payment.payment_id) as locked:
        assert locked is not None
        payment = payment.authorize(CaptureWindow(7), locked.now)
        await locked.commit(payment=payment)
    assert (payment.authorized_at, payment.capture_expires_at) == (now, now + 7)
    moved, attempt = payment.capture(Amount(500), now), success(payment, now)
    async with kit.store.lock(payment.payment_id, KEY) as locked:
        assert locked is not None
        assert locked.payment == payment
        await locked.commit(payment=moved, attempt=attempt)
    found = await kit.store.get(payment.payment_id)
    assert found is not None
    assert (found.payment, found.as_of) == (moved, now)
    assert await attempts(kit.store, payment.payment_id) == [attempt]
    page = await kit.store.page(Cursor(now, UUID(int=0)), 1)
    assert (page.payments, page.as_of) == ((moved,), now)
    assert (await kit.store.page(Cursor(now, payment.payment_id), 1)).payments == ()
