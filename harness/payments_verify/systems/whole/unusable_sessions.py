"""Sessions in which no payment can be captured: nothing is served by one, and nobody has to end them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch
from uuid import uuid4

import psycopg

from payments_verify.binding import Http, Response
from payments_verify.patience import ask_until, comes_true
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.surface.answers import complaints
from payments_verify.surface.readiness import LIMIT_S, ready_all_the_same, unready_for_good
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.given_up import left_open, nothing_collected
from payments_verify.systems.whole.reported import reported
from payments_verify.systems.whole.several_hosts import wrong_among_hosts
from payments_verify.systems.whole.shipped_limits import (
    AGAIN,
    ANSWERS,
    FRESH,
    PREPARES,
    shortened,
    wrong_shipped_limits,
)
from pgweave.gate import Gate

_CONNECTIONS = 2
_SESSIONS = _CONNECTIONS + 1
"""As many as there may be: one more asks whether the database can be used."""
_SETTINGS = {"pool_min": _CONNECTIONS, "pool_max": _CONNECTIONS, "pool_timeout_s": 0.15}
_AGAIN_S, _PATIENCE_S = 0.05, 0.2
_OK, _CREATED, _UNAVAILABLE = 200, 201, 503
_AMOUNT = {"amount_cents": 500}
_WINDOW = {"capture_window_seconds": 60}

_Request: TypeAlias = tuple[str, str, Mapping[str, Any] | None]
_Cause: TypeAlias = Callable[[Gate], AbstractAsyncContextManager[Callable[[], bool] | None]]
"""Has new sessions be of no use for as long as the block runs; it may give whether one has been given up."""


class _Kind(NamedTuple):
    """A kind of sessions.

    Attributes:
        cause: makes them.
        breaks: the invariants that a request breaks which is served by one.
        are_read: whether reads are served by them.
    """

    cause: _Cause
    breaks: str
    are_read: bool = False


async def wrong_sessions(dsn: str) -> str | None:
    """Have sessions of each kind come, and go; what is served by them, or not healed, if anything is.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    if (wrong := await wrong_shipped_limits(dsn)) is not None:
        return wrong
    with psycopg.connect(dsn, autocommit=True) as owner, _asked_at_once(), nothing_collected():
        async with Gate.open(dsn, bool) as gate, whole_application(gate.socket_dsn, **_SETTINGS) as app:
            asked = Asked(app.http, gate)
            wrong = await asked.prepare() or await _wrong_while_open(asked)
            for name, kind in _kinds(owner).items():
                wrong = wrong or await asked.wrong_of(name, kind)
        return wrong or await wrong_among_hosts(dsn)


def _kinds(owner: psycopg.Connection) -> Mapping[str, _Kind]:
    def of_sql(whose: str, name: str, value: str) -> _Cause:
        return partial(_set, owner, whose, name, value)

    database = f"DATABASE {owner.info.dbname}"
    login = f"ROLE {owner.info.user} IN {database}"
    read_only = "default_transaction_read_only"
    return {
        "the server is a standby": _Kind(partial(reported, "in_hot_standby", "on"), "I8"),
        "the guards are off": _Kind(of_sql(login, "session_replication_role", "replica"), "I2, I6"),
        "nothing can be written": _Kind(of_sql(database, read_only, "on"), "I9", are_read=True),
        "the server falls silent as a session begins": _Kind(_silent, "I9"),
    }


@contextmanager
def _asked_at_once() -> Iterator[None]:
    """Have each answer be asked for, none be waited for for long, and a database be tried again soon."""
    with (
        shortened(FRESH, 0.0),
        shortened(ANSWERS, _PATIENCE_S),
        shortened(AGAIN, _AGAIN_S),
    ):
        yield


@asynccontextmanager
async def _set(
    owner: psycopg.Connection, whose: str, name: str, value: str, _gate: Gate
) -> AsyncIterator[None]:
    owner.execute(f"ALTER {whose} SET {name} = {value}".encode())
    try:
        yield
    finally:
        owner.execute(f"ALTER {whose} RESET {name}".encode())


@asynccontextmanager
async def _silent(gate: Gate) -> AsyncIterator[Callable[[], bool]]:
    with (
        shortened(PREPARES, _AGAIN_S),
        patch.object(gate, "cancel_request", wraps=gate.cancel_request) as cancelled,
    ):
        async with stops(gate):
            yield lambda: cancelled.called


async def _wrong_while_open(asked: Asked) -> str | None:
    """Sessions that are open change: the process is not ready, until they have changed again."""
    for name, value in (
        ("session_replication_role", "replica"),
        ("transaction_read_only", "on"),
        ("in_hot_standby", "on"),
    ):
        async with reported(name, value, asked.gate):
            told = f"{name} of open sessions is {value}"
            if (wrong := await ready_all_the_same(asked.http, told)) is not None:
                return wrong
        if (wrong := await asked.healed(told)) is not None:
            return wrong
    return None


@dataclass
class Asked:
    """A service that is asked, and the gate before its database.

    Attributes:
        http: carries requests to it.
        gate: the gate.
        payment: the path of a payment, once that is prepared.
    """

    http: Http
    gate: Gate
    payment: str = ""

    async def prepare(self) -> str | None:
        """Have a payment to ask for."""
        self.payment = f"/payments/{uuid4()}"
        wrong = await unready_for_good(self.http, "what comes before all")
        # So soon after the start no connection may be there yet.
        if wrong is None and not await self._come(lambda: self._send("PUT", self.payment, _AMOUNT), _OK):
            wrong = f"I9: no payment is created for {LIMIT_S:g} s"
        return wrong

    async def wrong_of(self, name: str, kind: _Kind) -> str | None:
        """Begin sessions of a kind, and end that; nobody ends them then."""
        async with AsyncExitStack() as stack:
            has_given_up = await stack.enter_async_context(kind.cause(self.gate))
            for session in list(self.gate.sessions):
                session.cut()
            wrong = await ready_all_the_same(self.http, name)
            wrong = wrong or await self._wrongly_served(name, kind)
            wrong = wrong or await left_open(_SESSIONS, name, self.gate)
            if has_given_up is not None and not wrong and not await comes_true(has_given_up, LIMIT_S):
                wrong = f"I9: {name}, and for {LIMIT_S:g} s none is given up"
            if wrong is not None:
                return wrong
        return await self.healed(name)

    async def _wrongly_served(self, name: str, kind: _Kind) -> str | None:
        reads: list[_Request] = [("GET", self.payment, None), ("GET", "/payments", None)]
        commands: list[_Request] = [
            ("PUT", f"/payments/{uuid4()}", _AMOUNT),
            ("PUT", self.payment, _AMOUNT),
            ("POST", f"{self.payment}/authorize", _WINDOW),
            ("POST", f"{self.payment}/captures", _AMOUNT),
        ]
        refused = commands if kind.are_read else [*reads, *commands]
        answers = await asyncio.gather(*(self._send(*each) for each in refused))
        for (method, path, _), answer in zip(refused, answers, strict=True):
            if answer.status_code != _UNAVAILABLE:
                return f"{kind.breaks}: {name}, and {method} {path} is answered {answer.status_code}"
            if wrong := list(complaints(method, path, answer)):
                return f"I9: {name}, and {method} {path} is answered so: {wrong[0]}"
        if kind.are_read and not await self._come(lambda: self._send(*reads[0]), _OK):
            return f"I9: {name}, and reads are not answered for {LIMIT_S:g} s"
        return None

    async def healed(self, name: str) -> str | None:
        """That it does not become as it was, though this is over."""
        wrong = await unready_for_good(self.http, name)
        if wrong is None and not await self._come(self._create, _CREATED):
            wrong = f"I9: {name}: that is over, and some requests are refused for {LIMIT_S:g} s"
        return wrong or await left_open(_SESSIONS, f"{name}: that is over", self.gate)

    async def _come(self, send: Callable[[], Coroutine[Any, Any, Response]], status: int) -> bool:
        """Whether as many requests at once as there are connections come to be answered so, twice."""

        async def statuses() -> set[int]:
            return {each.status_code for each in await asyncio.gather(*(send() for _ in range(_CONNECTIONS)))}

        for _ in range(_CONNECTIONS):
            if await ask_until(statuses, lambda seen: seen == {status}, LIMIT_S) != {status}:
                return False
        return True

    async def _create(self) -> Response:
        return await self._send("PUT", f"/payments/{uuid4()}", _AMOUNT)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        headers = {"Idempotency-Key": "key"} if path.endswith("/captures") else {}
        return await self.http.request(method, path, headers=headers, json=body)
