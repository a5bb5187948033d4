"""The client for code that blocks."""

import random
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Literal, Self, TypeVar
from uuid import UUID

import httpx
import msgspec

from payments_client import requests
from payments_client.deadline import DeadlineTransport
from payments_client.documents import Capture, CaptureAttempt, Payment
from payments_client.replies import NoReply, Reply
from payments_client.requests import Call
from payments_client.retries import Policy, Wait, exchange
from payments_client.wire import TOO_LATE, Collected, OfProcess, Requests, capture_of, no_reply, trusted

Answer = TypeVar("Answer", bound=msgspec.Struct)


class PaymentsClient:
    """A client of one service, to be used by any number of threads, and closed at the end.

    A process that forks may go on with it, and so may its child, which has connections of its own; what is
    given as ``transport`` both share.

    It takes nothing from the environment: no proxy, no certificates, no password. A proxy is asked for by
    ``transport=httpx.HTTPTransport(proxy=...)``, roots of one's own by ``tls``. It follows no redirection and
    keeps no cookies. Whatever a server answers, a command ends by its deadline, as a success that fits what
    was asked or as a `PaymentsError`; only the resolution of the host's name takes the time that the system
    gives it, and with a transport of your own the deadline is looked at between the parts of a body.

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
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._policy = policy or Policy()
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._requests = Requests(base_url, token)
        context = tls or trusted(is_encrypted=self._requests.is_encrypted)

        def pool() -> httpx.BaseTransport:
            return transport or DeadlineTransport(context)

        self._http: OfProcess[httpx.BaseTransport] = OfProcess(pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if (http := self._http.made()) is not None:
            http.close()

    def create(self, amount_cents: int, payment_id: UUID | None = None) -> Payment:
        """Create a payment, under an id of your own if given; with one, it may be called again.

        Raises:
            Refused: among others, the id is taken by a payment of another amount.
            Unavailable: nothing was done.
            Unknown: it may have been created; call again with the ``payment_id`` of the error.
        """
        return self._call(requests.create(amount_cents, payment_id))[0]

    def authorize(self, payment_id: UUID, window_s: int) -> Payment:
        """Authorize a payment, to be captured within ``window_s`` seconds.

        Raises:
            Refused: among others, it is not pending.
            Unavailable: nothing was done.
            Unknown: it may have been authorized; read it.
        """
        return self._call(requests.authorize(payment_id, window_s))[0]

    def capture(self, payment_id: UUID, amount_cents: int, key: str | None = None) -> Capture:
        """Capture a payment in full, once at most, whatever happens on the way.

        Args:
            payment_id: the payment.
            amount_cents: exactly the authorized amount, in cents.
            key: names this intent; the same again for the same intent. A new one if not given: a program that
                must not lose it makes one by `new_key`, stores it, and then captures.

        Raises:
            Refused: it was decided against, for good.
            Unavailable: nothing was done.
            Unknown: it may have been captured; call again with the ``key`` of the error.
            ValueError: the key is none.
        """
        call = requests.capture(payment_id, amount_cents, key)
        return capture_of(call, *self._call(call))

    def fail(self, payment_id: UUID, reason: Literal["declined", "voided"]) -> Payment:
        """Decline or void an authorized payment.

        Raises:
            Refused: among others, it is not authorized.
            Unavailable: nothing was done.
            Unknown: it may have failed; read it.
        """
        return self._call(requests.fail(payment_id, reason))[0]

    def read(self, payment_id: UUID) -> Payment:
        """The payment as it stands.

        Raises:
            Refused: among others, there is no such payment.
            Unavailable: there was no answer.
        """
        return self._call(requests.read(payment_id))[0]

    def captures(self, payment_id: UUID) -> tuple[CaptureAttempt, ...]:
        """Every stored attempt to capture a payment, in the order of their decisions.

        Raises:
            Refused: among others, there is no such payment.
            Unavailable: there was no answer.
        """
        found: tuple[CaptureAttempt, ...] = ()
        following: str | None = None
        end = self._clock() + self._policy.deadline_s  # of all pages
        while True:
            page = self._call(requests.captures(payment_id, found, following), end)[0]
            found, following = found + page.captures, page.next
            if following is None:
                return found

    def _call(self, call: Call[Answer], end: float | None = None) -> tuple[Answer, Reply]:
        steps = exchange(call, self._policy, self._clock, self._draw, end)
        outcome: Reply | NoReply | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            if isinstance(step, Wait):
                self._sleep(step.seconds)
                outcome = None
            else:
                outcome = self._attempt(call, step.limit_s)

    def _attempt(self, call: Call[Answer], limit_s: float) -> Reply | NoReply:
        end = self._clock() + limit_s
        try:
            with closing(self._http.get().handle_request(self._requests.request(call, limit_s))) as response:
                assert isinstance(response.stream, httpx.SyncByteStream)
                collected = Collected(response, call.largest_answer)
                for part in response.stream:
                    collected.add(part)
                    if self._clock() >= end:
                        return TOO_LATE
                return collected.reply()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what was sent is in doubt
            return no_reply(error)
