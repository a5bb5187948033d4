"""Requests of a whole application, and whether their answers are those that have to come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import httpx
import msgspec
import psycopg

from payments_verify.binding import Http, Response
from payments_verify.surface.answers import complaints, problem_of
from payments_verify.systems.whole.stopped_time import PATIENCE_S, until

BUSY, UNAVAILABLE, OVERLOADED, LATE = "payment_busy", "unavailable", "overloaded", "deadline_exceeded"
"""The problems of a request that could not be served now."""
_NOT_NOW = 503
_LOCK = "SELECT FROM payments WHERE payment_id = ANY(%s) FOR UPDATE"
_WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class UnansweredError(Exception):
    """A request has no answer, and nothing is there that it could wait for."""


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: the method.
        path: the path.
        json: the body, if there is one.
        key: the idempotency key, if there is one.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    key: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Sent: TypeAlias = asyncio.Task[Response]
CREATE = Request("POST", "/payments", {"amount_cents": 500})
"""A creation under a new id: sent again, it creates another payment."""


def create(payment: UUID) -> Request:
    """A creation of 500 cents."""
    return Request("PUT", f"/payments/{payment}", {"amount_cents": 500})


def authorize(payment: UUID) -> Request:
    """An authorization for an hour."""
    return Request("POST", f"/payments/{payment}/authorize", {"capture_window_seconds": 3600})


def capture(payment: UUID, key: str, amount: int = 500) -> Request:
    """A capture; it is refused unless the amount is 500."""
    return Request("POST", f"/payments/{payment}/captures", {"amount_cents": amount}, key)


def void(payment: UUID) -> Request:
    """A void."""
    return Request("POST", f"/payments/{payment}/fail", {"reason": "voided"})


def read(payment: UUID) -> Request:
    """A look at a payment."""
    return Request("GET", f"/payments/{payment}")


def send(http: Http, request: Request) -> Sent:
    """Send a request."""
    headers = {"Idempotency-Key": request.key} if request.key else {}
    sending = http.request(request.method, request.path, headers=headers, json=request.json)
    return asyncio.ensure_future(_answered(sending))


async def _answered(sending: Any) -> Response:  # noqa: ANN401 - an awaitable
    response: Response = await sending
    return response


async def answer(http: Http, request: Request) -> Response:
    """The answer to a request that nothing keeps waiting.

    Raises:
        UnansweredError: it does not come.
    """
    sent = send(http, request)
    if await until(sent.done):
        return sent.result()
    sent.cancel()
    raise UnansweredError(f"{request} has no answer for {PATIENCE_S:g} s, where nothing keeps it waiting")


async def authorized(http: Http, payment: UUID) -> UUID:
    """The payment, once it is created and authorized.

    Raises:
        UnansweredError: it does not come to be.
    """
    for each in (create(payment), authorize(payment)):
        await answer(http, each)
    return payment


def wrong_answer(request: Request, sent: Sent, status: int, problem: str = "") -> str | None:
    """How the answer to a request differs from what it has to be; ``None`` if it does not.

    Args:
        request: it.
        sent: where its answer is, or is not yet.
        status: which the answer has to have.
        problem: which it has to tell of, if it is to be one.
    """
    wanted = f"{status} {problem}".strip()
    if not sent.done():
        return f"{request} has no answer, where {wanted} was to come"
    try:
        answer = sent.result()
        found = problem_of(answer)
        wrong = "; ".join(complaints(request.method, request.path, answer))
    except (httpx.TransportError, msgspec.MsgspecError, asyncio.CancelledError) as error:
        return f"{request} has no whole answer: {type(error).__name__}"
    if answer.status_code != status or (problem and found != problem):
        return f"{request} is answered {answer.status_code} {answer.text}, where {wanted} was to come"
    return f"{request} is answered {answer.status_code} {found}: {wrong}" if wrong else None


def first_wrong(
    requests: Sequence[Request], sent: Sequence[Sent], status: int, problem: str = ""
) -> str | None:
    """The first of several answers that differs from what all of them have to be, see `wrong_answer`."""
    pairs = zip(requests, sent, strict=True)
    return next(filter(None, (wrong_answer(*each, status, problem) for each in pairs)), None)


def hold(session: psycopg.Connection, payments: Sequence[UUID]) -> None:
    """Lock payments that nobody has locked, until the session's transaction ends."""
    session.execute(_LOCK, [list(payments)])


def waiting(session: psycopg.Connection[Any]) -> int:
    """How many sessions of a database wait for locks; the one that asks is in autocommit mode."""
    return session.execute(_WAITING).rowcount
