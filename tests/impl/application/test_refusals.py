"""How many refused captures of one payment are stored, and what comes of those beyond."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import psycopg
import pytest
from pydantic import ValidationError

from payments_core.application.use_cases import CapturePayment
from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.errors import IdempotencyKeyReused, TooManyRefusals
from payments_core.domain.values import MAX_STORED_REFUSALS, Amount, IdempotencyKey
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.views import capture_answer
from payments_core.entrypoints.settings import Settings
from tests.support.api import problem
from tests.support.payments import FULL, authorized, created
from tests.support.postgres import Database
from tests.support.stores import NOON, Kit, attempts

pytestmark = [pytest.mark.anyio, pytest.mark.invariant("I11")]

LIMIT_S = 60
BOUND = 3
WRONG = Amount(FULL.cents + 1)


def keys(count: int) -> list[IdempotencyKey]:
    return [IdempotencyKey(f"refused {number}") for number in range(count)]


def capturing(kit: Kit, bound: int = BOUND) -> CapturePayment:
    return CapturePayment(kit.store, capture_answer, bound)


async def refused(kit: Kit, payment_id: UUID, count: int) -> None:
    for key in keys(count):
        result = await capturing(kit)(payment_id, key, WRONG)
        assert result.outcome is not CaptureOutcome.CAPTURED


async def test_a_refusal_beyond_the_bound_leaves_nothing_and_its_key_stays_unknown(kit: Kit) -> None:
    payment_id = (await authorized(kit)).payment_id
    await refused(kit, payment_id, BOUND)
    before = await kit.contents()
    late = IdempotencyKey("late")
    for _ in range(3):
        with pytest.raises(TooManyRefusals):
            await capturing(kit)(payment_id, late, WRONG)
    assert await kit.contents() == before
    success = await capturing(kit)(payment_id, late, FULL)
    assert (success.outcome, success.replayed) == (CaptureOutcome.CAPTURED, False)


async def test_known_keys_are_answered_as_ever(kit: Kit) -> None:
    payment_id = (await authorized(kit)).payment_id
    await refused(kit, payment_id, BOUND)
    key, *_ = keys(1)
    stored, *_ = await attempts(kit.store, payment_id)
    again = await capturing(kit)(payment_id, key, WRONG)
    assert (again.answer, again.replayed) == (stored.answer, True)
    with pytest.raises(IdempotencyKeyReused):
        await capturing(kit)(payment_id, key, FULL)


async def test_every_state_has_the_same_room(kit: Kit) -> None:
    """A payment's moves, and its success, are no refusals."""
    pending, voided, captured = [await created(kit), await authorized(kit), await authorized(kit)]
    async with kit.store.lock(voided.payment_id) as locked:
        assert locked is not None
        await locked.commit(payment=locked.payment.expire(NOON * 2))
    await capturing(kit)(captured.payment_id, IdempotencyKey("success"), FULL)
    for payment in (pending, voided, captured):
        await refused(kit, payment.payment_id, BOUND)
        with pytest.raises(TooManyRefusals):
            await capturing(kit)(payment.payment_id, IdempotencyKey("late"), FULL)
        stored = [each.outcome for each in await attempts(kit.store, payment.payment_id)]
        assert sum(outcome is not CaptureOutcome.CAPTURED for outcome in stored) == BOUND


async def test_refusals_that_race_for_the_last_room_take_it_once(kit: Kit) -> None:
    payment_id = (await authorized(kit)).payment_id
    await refused(kit, payment_id, BOUND - 1)

    async def attempt(number: int) -> str:
        try:
            result = await capturing(kit)(payment_id, IdempotencyKey(f"racing {number}"), WRONG)
        except TooManyRefusals:
            return "no room"
        return result.outcome

    outcomes = await asyncio.gather(*(attempt(number) for number in range(10)))
    assert Counter(outcomes) == {CaptureOutcome.AMOUNT_MISMATCH: 1, "no room": 9}
    assert len(await attempts(kit.store, payment_id)) == BOUND


async def test_a_payment_with_more_refusals_from_before_is_well(kit: Kit) -> None:
    payment_id = (await authorized(kit)).payment_id
    await refused(kit, payment_id, BOUND)
    stricter = capturing(kit, bound=1)
    with pytest.raises(TooManyRefusals):
        await stricter(payment_id, IdempotencyKey("late"), WRONG)
    assert (await stricter(payment_id, keys(1)[0], WRONG)).replayed
    assert (await stricter(payment_id, IdempotencyKey("late"), FULL)).outcome is CaptureOutcome.CAPTURED


async def test_a_known_key_is_found_whatever_became_of_the_events(
    clocked_database: Database, postgres: Kit
) -> None:
    """A process of a version that recorded none may have decided."""
    payment_id = (await authorized(postgres)).payment_id
    await refused(postgres, payment_id, 1)
    with psycopg.connect(clocked_database.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM payment_events")
    assert (await capturing(postgres)(payment_id, keys(1)[0], WRONG)).replayed
    success = await capturing(postgres)(payment_id, IdempotencyKey("new"), FULL)
    assert success.outcome is CaptureOutcome.CAPTURED


@asynccontextmanager
async def http_over(kit: Kit) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(kit.store, max_stored_refusals=BOUND)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
        yield http


async def test_it_is_a_429_of_its_own(kit: Kit) -> None:
    payment_id = (await authorized(kit)).payment_id
    await refused(kit, payment_id, BOUND)
    async with http_over(kit) as http:
        path, headers = f"/payments/{payment_id}/captures", {"Idempotency-Key": "late"}
        answer = await http.post(path, json={"amount_cents": WRONG.cents}, headers=headers)
        document = problem(answer, 429, "too_many_refusals")
        assert "nothing was stored" in document["detail"]
        assert {"idempotent-replayed", "retry-after"}.isdisjoint(answer.headers)
        assert "payment_id" not in document
        assert (await http.get(f"/problems/{document['type'].rpartition('/')[2]}")).json()["status"] == 429
        answer = await http.post(path, json={"amount_cents": FULL.cents}, headers=headers)
        assert answer.status_code == 201


async def test_the_bound_is_a_setting() -> None:
    assert Settings().max_stored_refusals == MAX_STORED_REFUSALS == 1_000
    with pytest.raises(ValidationError):
        Settings(max_stored_refusals=0)
