"""What ends a command that has no answer, and what never begins one."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from payments_client import (
    AsyncPaymentsClient,
    PaymentsClient,
    Policy,
    Refused,
    Unavailable,
    Unknown,
    new_key,
)
from payments_core.domain.capture import CaptureOutcome
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.client.conftest import Blocking
from tests.client.test_client import authorized, outcomes
from tests.support.misbehaving import Behaviour, Front

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["blocking", "asyncio"])
def make_client(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes a client with a policy; the caller closes it."""

    def make(url: str, policy: Policy, **more: Any) -> Any:
        if request.param == "asyncio":
            return AsyncPaymentsClient(url, policy=policy, **more)
        return Blocking(PaymentsClient(url, policy=policy, **more))

    return make


async def test_a_server_that_never_answers_is_given_up_in_time(
    make_client: Callable[..., Any], front: Front, store: InMemoryPaymentStore
) -> None:
    patient = make_client(front.url, Policy())
    payment_id = await authorized(patient)
    hasty = make_client(front.url, Policy(deadline_s=0.6, attempt_s=0.2, first_wait_s=0.01))
    for behaviour in (Behaviour.STALL, Behaviour.TRICKLE):
        front.plan = [behaviour] * 100
        key = new_key()
        with anyio.fail_after(30):
            with pytest.raises(Unknown) as unknown:
                await hasty.capture(payment_id, 500, key)
        assert unknown.value.key == key
        front.plan = []
    # Resumed with the key that was handed back: whatever became of the attempts, there is one capture.
    with pytest.raises(Refused):
        await patient.capture(payment_id, 500, key)
    assert [outcome for _, outcome in await outcomes(store, payment_id)].count(CaptureOutcome.CAPTURED) == 1
    await hasty.close()
    await patient.close()


async def test_the_deadline_is_one_for_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def connect(_address: object, timeout: float, **_more: object) -> None:
        limits.append(timeout)
        time.sleep(0.1)
        raise ConnectionRefusedError

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", 80)) for n in range(1, 100)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: addresses)
    monkeypatch.setattr(socket, "create_connection", connect)
    policy = Policy(deadline_s=0.5, first_wait_s=1)
    with (
        PaymentsClient("http://payments", policy=policy, draw=lambda _low, high: high) as client,
        pytest.raises(Unavailable, match="ConnectTimeout"),
    ):
        client.capture(uuid4(), 500)
    assert 0 < len(limits) <= 5
    assert limits == sorted(limits, reverse=True)


async def test_a_silent_address_leaves_time_for_the_next(
    front: Front, store: InMemoryPaymentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, resolve = socket.create_connection, socket.getaddrinfo
    host, port = front.url.removeprefix("http://").split(":")
    silent = [f"192.0.2.{n}" for n in range(1, 4)]

    def connect_or_wait(address: tuple[str, int], timeout: float, **more: Any) -> socket.socket:
        if address[0] in silent:
            time.sleep(timeout)
            raise TimeoutError
        return connect(address, timeout, **more)

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, int(port))) for each in (*silent, host)]

    def resolved(name: str, *arguments: Any, **more: Any) -> Any:
        return found if name == "payments" else resolve(name, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "create_connection", connect_or_wait)
    policy = Policy(deadline_s=2, attempt_s=2, first_wait_s=0.01)
    client = Blocking(PaymentsClient(f"http://payments:{port}", policy=policy))
    created = await client.create(500)
    assert await store.get(created.id) is not None
    await client.close()


async def test_a_server_that_is_not_there_is_told_apart(make_client: Callable[..., Any]) -> None:
    client = make_client("http://127.0.0.1:9", Policy(deadline_s=1.0, first_wait_s=0.01))
    with pytest.raises(Unavailable, match="nothing was done"):
        await client.capture(uuid4(), 500)
    await client.close()


async def test_an_endless_answer_is_cut(make_client: Callable[..., Any]) -> None:
    endless = b" " * (64 * 1024 + 1)
    transport = httpx.MockTransport(lambda _request: httpx.Response(201, content=endless))
    client = make_client("http://payments", Policy(deadline_s=0.2, first_wait_s=1), transport=transport)
    with pytest.raises(Unknown, match="UnreadableError"):
        await client.capture(uuid4(), 500)
    await client.close()


async def test_pages_without_end_have_one_deadline(make_client: Callable[..., Any]) -> None:
    now = [0.0]

    def page(_request: httpx.Request) -> httpx.Response:
        now[0] += 1
        attempt = {
            "idempotency_key": str(now[0]),
            "amount_cents": 500,
            "outcome": "already_captured",
            "status": 409,
            "decided_at": "2026-01-01T12:00:00Z",
        }
        return httpx.Response(200, json={"captures": [attempt], "next": str(now[0])})

    policy = Policy(deadline_s=20)
    transport = httpx.MockTransport(page)
    client = make_client("http://payments", policy, transport=transport, clock=lambda: now[0])
    with pytest.raises(Unavailable):
        await client.captures(uuid4())
    await client.close()
    assert now[0] <= 22


async def test_an_answer_in_any_number_of_parts_is_cut(make_client: Callable[..., Any]) -> None:
    taken = []

    class OneByOne(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for n in range(60_000):
                taken.append(n)
                yield b" "

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    transport = httpx.MockTransport(lambda _request: httpx.Response(201, stream=OneByOne()))
    policy = Policy(deadline_s=60, first_wait_s=60, longest_wait_s=60)
    client = make_client("http://payments", policy, transport=transport, draw=lambda _low, high: high)
    with pytest.raises(Unknown, match="UnreadableError"):
        await client.capture(uuid4(), 500)
    await client.close()
    assert len(taken) < 5_000


async def test_an_answer_that_cannot_be_unpacked_is_none(make_client: Callable[..., Any]) -> None:
    packed = {"Content-Encoding": "gzip"}
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(201, headers=packed, stream=httpx.ByteStream(b"no gzip"))
    )
    client = make_client("http://payments", Policy(deadline_s=0.2, first_wait_s=1), transport=transport)
    with pytest.raises(Unknown, match="UnreadableError"):
        await client.capture(uuid4(), 500)
    await client.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://payments",
        "payments:8000",
        "http://",
        "http://me:secret@payments",
        "http://payments?token=secret",
        "http://payments#secret",
        "http://payments:99999",
        f"http://secret{'a' * 64}",
        "http://secret\r\n",
        "http://secret..payments",
    ],
)
async def test_a_url_that_is_none_is_not_taken_nor_shown(make_client: Callable[..., Any], url: str) -> None:
    with pytest.raises(ValueError, match="base_url is http") as raised:
        make_client(url, Policy())
    assert "secret" not in str(raised.value)


async def test_a_service_below_a_path(make_client: Callable[..., Any]) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(403)

    client = make_client("http://payments/v1/", Policy(), transport=httpx.MockTransport(answer))
    with pytest.raises(Refused):
        await client.read(UUID(int=7))
    await client.close()
    assert asked == [f"http://payments/v1/payments/{UUID(int=7)}"]
