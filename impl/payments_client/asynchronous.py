"""The client for asyncio."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Literal, Self, TypeVar
from uuid import UUID

import httpx
import msgspec

from payments_client import requests
from payments_client.documents import Capture, CaptureAttempt, Payment
from payments_client.replies import NoReply, Reply
from payments_client.requests import Call
from payments_client.retries import Policy, Wait, exchange
from payments_client.wire import (
    LIMITS,
    TOO_LATE,
    Collected,
    OfProcess,
    Requests,
    capture_of,
    no_reply,
    trusted,
)

Answer = TypeVar("Answer", bound=msgspec.Struct)


class AsyncPaymentsClient:
    """The same as `PaymentsClient`, for asyncio: its methods, their arguments, and what they raise.

    A call that is cancelled ends as if its answer were lost. Who may be cancelled gives a capture its key.

    Args:
        base_url: where the service is, as in ``http://127.0.0.1:8000``.
        token: the bearer token, if the service wants one.
        policy: how long commands are tried.
        tls: whom to trust; certifi's roots if not given.
        transport: carries the requests; a pool of connections if not given.
        clock: a clock that is never set, in seconds.
        sleep: waits, in seconds.
        draw: a number between two, at random.

    Raises:
        ValueError: the URL or the token is none.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        policy: Policy | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._policy = policy or Policy()
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._requests = Requests(base_url, token)
        context = tls or trusted(is_encrypted=self._requests.is_encrypted)

        def pool() -> httpx.AsyncBaseTransport:
            return transport or httpx.AsyncHTTPTransport(context, trust_env=False, limits=LIMITS)

        self._http: OfProcess[httpx.AsyncBaseTransport] = OfProcess(pool)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if (http := self._http.made()) is not None:
            await http.aclose()

    async def create(self, amount_cents: int, payment_id: UUID | None = None) -> Payment:
        """Create a payment: see `PaymentsClient.create`."""
        return (await self._call(requests.create(amount_cents, payment_id)))[0]

    async def authorize(self, payment_id: UUID, window_s: int) -> Payment:
        """Authorize a payment: see `PaymentsClient.authorize`."""
        return (await self._call(requests.authorize(payment_id, window_s)))[0]

    async def capture(self, payment_id: UUID, amount_cents: int, key: str | None = None) -> Capture:
        """Capture a payment in full, once at most: see `PaymentsClient.capture`."""
        call = requests.capture(payment_id, amount_cents, key)
        return capture_of(call, *await self._call(call))

    async def fail(self, payment_id: UUID, reason: Literal["declined", "voided"]) -> Payment:
        """Decline or void an authorized payment: see `PaymentsClient.fail`."""
        return (await self._call(requests.fail(payment_id, reason)))[0]

    async def read(self, payment_id: UUID) -> Payment:
        """The payment as it stands: see `PaymentsClient.read`."""
        return (await self._call(requests.read(payment_id)))[0]

    async def captures(self, payment_id: UUID) -> tuple[CaptureAttempt, ...]:
        """Every stored attempt to capture a payment: see `PaymentsClient.captures`."""
        found: tuple[CaptureAttempt, ...] = ()
        following: str | None = None
        end = self._clock() + self._policy.deadline_s  # of all pages
        while True:
            page = (await self._call(requests.captures(payment_id, found, following), end))[0]
            found, following = found + page.captures, page.next
            if following is None:
                return found

    async def _call(self, call: Call[Answer], end: float | None = None) -> tuple[Answer, Reply]:
        steps = exchange(call, self._policy, self._clock, self._draw, end)
        outcome: Reply | NoReply | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            if isinstance(step, Wait):
                await self._sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._attempt(call, step.limit_s)

    async def _attempt(self, call: Call[Answer], limit_s: float) -> Reply | NoReply:
        try:
            async with asyncio.timeout(limit_s):
                response = await self._http.get().handle_async_request(self._requests.request(call, limit_s))
                async with aclosing(response):
                    assert isinstance(response.stream, httpx.AsyncByteStream)
                    collected = Collected(response, call.largest_answer)
                    async for part in response.stream:
                        collected.add(part)
                return collected.reply()
        except TimeoutError:
            return TOO_LATE
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what was sent is in doubt
            return no_reply(error)
