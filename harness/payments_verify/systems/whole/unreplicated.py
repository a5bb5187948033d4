"""Commits that no standby confirmed: the server answers with success, and warns. No success is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from payments_verify.binding import Http, Response
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.surface.answers import complaints
from payments_verify.systems.whole.application import whole_application
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate, HeldStatement, NotReplicated, Session
from pgweave.gate.proxy import PassAll

_MODES: Mapping[Literal["session", "transaction"], bool] = {"session": False, "transaction": True}
"""Each mode of a pooler, and whether the server's messages are translated then."""
_ONE = {"pool_min": 1, "pool_max": 1}
"""So that a request comes to the connection that warned before."""
_UNAVAILABLE, _ERRORS = 503, 500
_TRIES = 5
_WINDOW_S = 60
_COMMIT = "COMMIT"
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|FOR (NO KEY )?UPDATE|FOR (KEY )?SHARE)\b")


class _Request(NamedTuple):
    """A command.

    Attributes:
        what: says so.
        method: the method.
        path: the path, after that of the payment.
        body: the body.
        key: its idempotency key; empty for none.
    """

    what: str
    method: str
    path: str
    body: Mapping[str, Any]
    key: str = ""


def _capture(what: str, amount: int, key: str) -> _Request:
    return _Request(what, "POST", "/captures", {"amount_cents": amount}, key)


_CREATE = _Request("a creation", "PUT", "", {"amount_cents": 500})
_AUTHORIZE = _Request("an authorization", "POST", "/authorize", {"capture_window_seconds": _WINDOW_S})
_VOID = _Request("a void", "POST", "/fail", {"reason": "voided"})
_CAPTURED = (
    _CREATE,
    _CREATE._replace(what="a creation that is repeated"),
    _CREATE._replace(what="another creation under the same id", body={"amount_cents": 501}),
    _capture("a capture that is refused for the state", 500, "early"),
    _AUTHORIZE,
    _AUTHORIZE._replace(what="an authorization that the state refuses"),
    _capture("a capture that is refused for the amount", 501, "wrong"),
    _capture("a refusal that is repeated", 501, "wrong"),
    _capture("a key that is used for another request", 502, "wrong"),
    _capture("a capture", 500, "right"),
    _capture("a capture that is repeated", 500, "right"),
    _capture("a capture of what is captured", 500, "late"),
    _VOID._replace(what="a void that the state refuses"),
)
_VOIDED = (_CREATE, _AUTHORIZE, _VOID, _VOID._replace(what="a void that is repeated"))
_EXPIRED = (_CREATE, _AUTHORIZE)
_AFTER_EXPIRY = (_capture("a capture after the window", 500, "expired"), _VOID)
"""The lives of payments, up to where each command is answered in each of its ways."""


@dataclass
class _Warns(PassAll):
    """Warns at commits, while it is told to.

    Attributes:
        is_translated: whether in another language.
        is_on: whether it is.
        too_late: how many statements were committed so that no warning could be put in.
    """

    is_translated: bool
    is_on: bool = False
    too_late: int = 0

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        is_in_block = statement.session.block.is_open
        commits = statement.sql == _COMMIT if is_in_block else bool(_WRITES.search(statement.sql))
        if self.is_on and commits:
            # What the Sync comes after by itself, on a busy machine, has been answered before it commits.
            self.too_late += not is_in_block and not statement.unit.with_sync
            statement.session.answers.altered = NotReplicated(is_in_block, self.is_translated)
        statement.release()


async def wrong_unreplicated(dsn: str) -> str | None:
    """Which command is answered, though what it answers may be lost with the server; ``None`` if none is.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    for mode, is_translated in _MODES.items():
        warns = _Warns(is_translated)
        async with (
            Gate.open(dsn, bool) as gate,
            DatabaseClock.connect(dsn) as clock,
            whole_application(gate.socket_dsn, pooler_mode=mode, **_ONE) as app,
        ):
            gate.observer = warns
            if (wrong := await _wrong(app.http, warns, clock)) is not None:
                return f"{wrong} (PAYMENTS_POOLER_MODE={mode})"
    return None


async def _wrong(http: Http, warns: _Warns, clock: DatabaseClock) -> str | None:
    await clock.set(BEGIN)
    for life in (_CAPTURED, _VOIDED, _EXPIRED):
        for _ in range(_TRIES):
            warns.too_late = 0
            payment = f"/payments/{uuid4()}"
            wrong = await _wrong_life(http, warns, payment, life)
            if not warns.too_late:
                break
        if wrong is not None:
            return wrong
    await clock.set(BEGIN + (_WINDOW_S + 1) * SECOND)
    return await _wrong_life(http, warns, payment, _AFTER_EXPIRY)


async def _wrong_life(http: Http, warns: _Warns, payment: str, life: Sequence[_Request]) -> str | None:
    """Send each command twice: its first commit is warned of, the second is not."""
    for request in life:
        warns.is_on = True
        answer = await _send(http, payment, request)
        warns.is_on = False
        if answer.status_code != _UNAVAILABLE:
            return (
                f"I7: {request.what} is answered {answer.status_code}, though no standby has what it is "
                "answered with: it may be lost with the server"
            )
        if complained := list(complaints(request.method, payment + request.path, answer)):
            return f"I9: {request.what} that no standby has: {'; '.join(complained)}"
        answer = await _send(http, payment, request)
        if answer.status_code >= _ERRORS:
            return f"I9: {request.what} is answered {answer.status_code} for a warning that another was given"
    return None


async def _send(http: Http, payment: str, request: _Request) -> Response:
    headers = {"Idempotency-Key": request.key} if request.key else {}
    return await http.request(request.method, payment + request.path, headers=headers, json=request.body)
