"""Both clients against the service on a socket, before which answers are lost, cut, delayed and replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from payments_client import (
    AsyncPaymentsClient,
    Refused,
    Unknown,
)
from payments_core.application.use_cases import CapturePayment
from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.values import SECOND, Amount, IdempotencyKey
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.views import capture_answer
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.tokens import make
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.client.conftest import Waited
from tests.support.guarded import guarded_over
from tests.support.misbehaving import Behaviour, Front
from tests.support.stores import NOON, attempts

pytestmark = pytest.mark.anyio
LOST = [
    Behaviour.CUT_AFTER,
    Behaviour.HALF,
    Behaviour.STALL,
    Behaviour.TRICKLE,
    Behaviour.BAD_GATEWAY,
    Behaviour.GATEWAY_TIMEOUT,
    Behaviour.GARBAGE,
]
"""The service carries the request out, and the client gets no definite answer."""
NOT_ASKED = [Behaviour.CUT_BEFORE, Behaviour.OVERLOADED]


async def authorized(payments: Any) -> UUID:
    payment = await payments.create(500)
    await payments.authorize(payment.id, 600)
    found: UUID = payment.id
    return found


async def outcomes(store: InMemoryPaymentStore, payment_id: UUID) -> list[tuple[str, CaptureOutcome]]:
    """What is stored, by key."""
    return [(each.key, each.outcome) for each in await attempts(store, payment_id)]


# ---- while all is well --------------------------------------------------------------------------


async def test_the_life_of_a_payment(payments: Any, waited: Waited) -> None:
    payment_id = uuid4()
    created = await payments.create(500, payment_id)
    assert (created.id, created.state, created.amount_cents) == (payment_id, "pending", 500)
    assert (await payments.create(500, payment_id)).id == payment_id
    authorized = await payments.authorize(payment_id, 600)
    assert authorized.state == "authorized"
    assert (authorized.capture_expires_at - authorized.authorized_at).total_seconds() == 600
    capture = await payments.capture(payment_id, 500, "key")
    assert (capture.payment_id, capture.amount_cents, capture.key) == (payment_id, 500, "key")
    assert not capture.replayed
    again = await payments.capture(payment_id, 500, "key")
    assert (again.replayed, again.captured_at) == (True, capture.captured_at)
    read = await payments.read(payment_id)
    assert (read.state, read.captured_at) == ("captured", capture.captured_at)
    assert round(capture.captured_at.timestamp() * SECOND) == NOON
    (attempt,) = await payments.captures(payment_id)
    assert (attempt.idempotency_key, attempt.outcome, attempt.status) == ("key", "captured", 201)
    assert waited.seconds == []


async def test_a_failure(payments: Any) -> None:
    payment_id = await authorized(payments)
    failed = await payments.fail(payment_id, "declined")
    assert (failed.state, failed.failure_reason) == ("failed", "declined")


async def test_refusals_are_raised_with_their_type(payments: Any, front: Front) -> None:
    payment_id = await authorized(payments)
    await payments.capture(payment_id, 500)
    front.requests.clear()
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: payments.capture(payment_id, 500), "already_captured"),
        (lambda: payments.capture(uuid4(), 500), "payment_not_found"),
        (lambda: payments.create(501, payment_id), "payment_id_conflict"),
        (lambda: payments.create(0), "invalid_request"),
        (lambda: payments.authorize(payment_id, 60), "already_captured"),
        (lambda: payments.fail(payment_id, "voided"), "already_captured"),
        (lambda: payments.read(uuid4()), "payment_not_found"),
        (lambda: payments.captures(uuid4()), "payment_not_found"),
    ]
    for call, problem in calls:
        with pytest.raises(Refused) as refused:
            await call()
        assert refused.value.problem.type == f"/problems/{problem}"
        assert (refused.value.problem.name, refused.value.replayed) == (problem, False)
    assert len(front.requests) == 8, "a refusal was asked for again"


@pytest.mark.parametrize("key", [" key ", '"', '"quoted"', "back\\slash", "a, b", "~" * 255, " "])
async def test_any_key_arrives_as_it_is(payments: Any, store: InMemoryPaymentStore, key: str) -> None:
    payment_id = await authorized(payments)
    assert (await payments.capture(payment_id, 500, key)).key == key
    assert await outcomes(store, payment_id) == [(key, CaptureOutcome.CAPTURED)]
    assert (await payments.capture(payment_id, 500, key)).replayed


# ---- while it is not ----------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", LOST, ids=lambda each: each.name)
async def test_a_capture_whose_answer_is_lost_is_captured_once(
    payments: Any, front: Front, store: InMemoryPaymentStore, behaviour: Behaviour
) -> None:
    payment_id = await authorized(payments)
    front.requests.clear()
    front.plan = [behaviour, behaviour]
    capture = await payments.capture(payment_id, 500)
    assert capture.replayed
    assert front.requests == [f'"{capture.key}"'] * 3, "a retry had a key of its own"
    assert await outcomes(store, payment_id) == [(capture.key, CaptureOutcome.CAPTURED)]


@pytest.mark.parametrize("behaviour", NOT_ASKED, ids=lambda each: each.name)
async def test_a_capture_that_the_service_did_not_hear_of(
    payments: Any, front: Front, behaviour: Behaviour
) -> None:
    payment_id = await authorized(payments)
    front.plan = [behaviour] * 3
    assert not (await payments.capture(payment_id, 500)).replayed


async def test_it_comes_again_no_sooner_than_it_was_told(payments: Any, front: Front, waited: Waited) -> None:
    payment_id = await authorized(payments)
    front.plan = [Behaviour.OVERLOADED] * 3
    await payments.capture(payment_id, 500)
    assert len(waited.seconds) == 3
    assert all(
        1 <= seconds <= 1 + bound for seconds, bound in zip(waited.seconds, (0.1, 0.2, 0.4), strict=True)
    )


@pytest.mark.parametrize("behaviour", LOST[:-1], ids=lambda each: each.name)
async def test_a_refusal_whose_answer_is_lost_is_refused_for_the_same_reason(
    payments: Any, front: Front, store: InMemoryPaymentStore, behaviour: Behaviour
) -> None:
    payment_id = await authorized(payments)
    await payments.capture(payment_id, 500, "first")
    front.plan = [behaviour]
    with pytest.raises(Refused) as refused:
        await payments.capture(payment_id, 500, "second")
    assert (refused.value.problem.name, refused.value.replayed) == ("already_captured", True)
    assert refused.value.problem.decided_at is not None
    assert len(await outcomes(store, payment_id)) == 2


async def test_a_proxys_refusal_after_a_lost_answer_is_no_answer(
    payments: Any, front: Front, store: InMemoryPaymentStore
) -> None:
    payment_id = await authorized(payments)
    front.plan = [Behaviour.CUT_AFTER, Behaviour.FORBIDDEN]
    with pytest.raises(Unknown) as unknown:
        await payments.capture(payment_id, 500)
    assert unknown.value.key is not None
    assert await outcomes(store, payment_id) == [(unknown.value.key, CaptureOutcome.CAPTURED)]
    front.plan = [Behaviour.FORBIDDEN]
    with pytest.raises(Refused, match="403 about:blank"):
        await payments.capture(payment_id, 500)


async def test_a_creation_whose_answer_is_lost_is_one_payment(
    payments: Any, front: Front, store: InMemoryPaymentStore
) -> None:
    front.plan = [Behaviour.CUT_AFTER, Behaviour.HALF]
    payment = await payments.create(500)
    assert [each.payment_id for each in (await store.page(None, 10)).payments] == [payment.id]


@pytest.mark.parametrize("command", ["authorize", "fail"])
async def test_what_has_no_key_is_sent_once_if_its_answer_is_lost(
    payments: Any, front: Front, command: str
) -> None:
    payment = await payments.create(500)
    if command == "fail":
        await payments.authorize(payment.id, 600)
    front.plan = [Behaviour.OVERLOADED, Behaviour.CUT_AFTER]
    front.requests.clear()
    with pytest.raises(Unknown, match="may have been carried out"):
        await (
            payments.authorize(payment.id, 600)
            if command == "authorize"
            else payments.fail(payment.id, "voided")
        )
    assert len(front.requests) == 2
    assert (await payments.read(payment.id)).state == {"authorize": "authorized", "fail": "failed"}[command]


# ---- in process, with a token -------------------------------------------------------------------


async def test_in_process_with_a_token() -> None:
    token, digest = make()
    store = InMemoryPaymentStore(lambda: NOON)
    async with guarded_over(store, Settings(tokens=digest)) as service:
        transport = service.transport
        async with AsyncPaymentsClient("http://payments", token, transport=transport) as payments:
            payment_id = await authorized(payments)
            assert (await payments.capture(payment_id, 500)).captured_at.timestamp() == NOON / SECOND
        async with AsyncPaymentsClient("http://payments", transport=transport) as stranger:
            with pytest.raises(Refused) as refused:
                await stranger.capture(payment_id, 500)
        assert refused.value.problem.name == "unauthorized"
        assert token not in str(refused.value)


async def test_a_token_that_may_read_does_not_capture() -> None:
    token, digest = make()
    store = InMemoryPaymentStore(lambda: NOON)
    async with guarded_over(store, Settings(tokens=f"read:{digest}")) as service:
        transport = service.transport
        async with AsyncPaymentsClient("http://payments", token, transport=transport) as payments:
            with pytest.raises(Refused, match="send a token of the scope write") as refused:
                await payments.capture(uuid4(), 500)
            assert refused.value.problem.name == "insufficient_scope"
            with pytest.raises(Refused) as read:
                await payments.read(uuid4())
            assert read.value.problem.name == "payment_not_found"


@pytest.mark.invariant("I1")
async def test_many_clients_of_one_payment() -> None:
    store = InMemoryPaymentStore(lambda: NOON)
    transport = httpx.ASGITransport(create_app(store))
    async with AsyncPaymentsClient("http://payments", transport=transport) as payments:
        payment_id = await authorized(payments)
        results: list[str] = []

        async def capture() -> None:
            try:
                await payments.capture(payment_id, 500)
                results.append("captured")
            except Refused as refused:
                results.append(refused.problem.name)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(capture)
    assert sorted(results) == [*["already_captured"] * 9, "captured"]


async def test_attempts_in_pages_are_all_read(
    payments: Any, front: Front, store: InMemoryPaymentStore
) -> None:
    payment_id = await authorized(payments)
    capture = CapturePayment(store, capture_answer)
    keys = [f"{(number * 7) % 450}" for number in range(450)]
    for key in keys:
        await capture(payment_id, IdempotencyKey(key), Amount(501))
    front.requests.clear()
    assert [each.idempotency_key for each in await payments.captures(payment_id)] == keys
    assert len(front.requests) == 3
