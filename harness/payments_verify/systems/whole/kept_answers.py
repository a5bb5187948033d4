"""Payments that other versions have stored: commands are decided, and what is stored is what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from uuid import UUID

import msgspec
import psycopg

from payments_verify.binding import Http, Response
from payments_verify.patience import comes_true
from payments_verify.surface.answers import fields_of, problem_of, wrong_fields
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.asked import Request
from payments_verify.systems.whole.kept_payments import KeptPayment, kept_payments
from payments_verify.systems.whole.long_lists import wrong_beside_kept, wrong_long_lists

_LIMIT_S = 20.0
_SWEEP_S = 0.05
_OK, _CREATED, _CONFLICT, _UNEQUAL, _REFUSED, _FAULT = 200, 201, 409, 422, 400, 500
_FIELDS = {"x-content-type-options": "nosniff"}
_ENDED = "ended"
_EVENTS = "SELECT count(*) FROM payment_events WHERE payment_id = %s"
_NOT_EXPIRED = """
    SELECT count(*) FROM payments WHERE payment_id = ANY(%s) AND failure_reason IS DISTINCT FROM 'expired'
"""
_Step = tuple[str, int, str]
"""What is asked: a command, or the amount of a capture; and the status and the problem of its answer."""
_TO_THE_END: Sequence[_Step] = (
    ("501", _UNEQUAL, "amount_mismatch"),
    ("500", _CREATED, ""),
    ("500", _CONFLICT, "already_captured"),
    ("void", _CONFLICT, "already_captured"),
)
_FAILED: Sequence[_Step] = tuple((each, _CONFLICT, "payment_failed") for each in ("authorize", "500", "void"))
_COMMANDS: Sequence[tuple[str, Sequence[_Step]]] = (
    (
        "pending",
        (
            ("500", _CONFLICT, "not_authorized"),
            ("void", _CONFLICT, "not_authorized"),
            ("authorize", _OK, ""),
            *_TO_THE_END,
        ),
    ),
    ("authorized", (("authorize", _CONFLICT, "already_authorized"), *_TO_THE_END)),
    ("authorized", (("void", _OK, ""), *_FAILED)),
    (_ENDED, (("500", _CONFLICT, "capture_window_expired"), ("void", _OK, ""), *_FAILED)),
    (_ENDED, ()),
    (
        "captured",
        tuple((each, _CONFLICT, "already_captured") for each in ("authorize", "500", "501", "void")),
    ),
    *((reason, _FAILED) for reason in ("declined", "voided", "expired")),
)
"""By where a payment is: what it is asked for, one after the other. What is asked for nothing expires."""


async def wrong_with_kept_rows(dsn: str) -> str | None:
    """What is answered otherwise than it has to be, of what the database has already; ``None`` if nothing.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    with psycopg.connect(dsn, autocommit=True) as owner:
        async with whole_application(dsn) as app:
            if (wrong := await wrong_long_lists(app.http, owner)) is not None:
                return wrong
            payments = kept_payments(owner, [end for end, _ in _COMMANDS])
            if (wrong := await wrong_beside_kept(app.http, owner)) is not None:
                return wrong
            due = []
            for payment, (_, steps) in zip(payments, cycle(_COMMANDS), strict=False):
                if (wrong := await _Asking(app.http, owner, payment).wrong(steps)) is not None:
                    broken, _, what = wrong.partition(": ")
                    return f"{broken}: other versions have stored {payment}: {what}"
                due += [payment.id] * (not steps)
        return await _not_expired(dsn, owner, due)


class _Asking:
    """Asks for all that can be asked of a payment."""

    def __init__(self, http: Http, owner: psycopg.Connection, payment: KeptPayment) -> None:
        self._http = http
        self._owner = owner
        self._payment = payment
        self._new: dict[str, tuple[int, Response]] = {}

    async def wrong(self, steps: Sequence[_Step]) -> str | None:
        """What is wrong with an answer, if anything is: what is stored first, then each step."""
        payment = self._payment
        for request, status in ((asked.read(payment.id), _OK), (asked.create(payment.id), _OK)):
            answer = await self._send(request)
            state = msgspec.json.decode(answer.content).get("state")
            if (answer.status_code, state) != (status, payment.state):
                return _told("I8", request, answer, f"{status} {payment.state}")
        if wrong := await self._wrong_list() or await self._wrong_replays():
            return wrong
        before = self._events()
        decided = 0
        for number, (what, status, problem) in enumerate(steps):
            if wrong := await self._wrong_step(f"new {number}", what, status, problem):
                return wrong
            decided += what.isdigit() or status == _OK
        if (events := self._events() - before) != decided:
            return f"I12: {decided} commands are decided, and there are {events} more events"
        return await self._wrong_list() or await self._wrong_replays()

    async def _wrong_step(self, key: str, what: str, status: int, problem: str) -> str | None:
        commands = {"authorize": asked.authorize, "void": asked.void}
        payment = self._payment.id
        request = commands[what](payment) if what in commands else asked.capture(payment, key, int(what))
        answer = await self._send(request)
        found = answer.status_code
        if found >= _FAULT:
            return _told("I9", request, answer, f"{status} {problem}")
        if (found, problem_of(answer)) != (status, problem):
            return _told("I2, I11", request, answer, f"{status} {problem}")
        if request.key:
            self._new[request.key] = int(what), answer
        return None

    async def _wrong_replays(self) -> str | None:
        """Each key gets what was answered first, and no other amount goes under it."""
        first = {each.key: (each.amount, each.status, each.body) for each in self._payment.attempts} | {
            key: (amount, each.status_code, each.content) for key, (amount, each) in self._new.items()
        }
        for key, (amount, status, body) in first.items():
            request = asked.capture(self._payment.id, key, amount)
            answer = await self._send(request)
            found = answer.status_code, answer.content, answer.headers.get("idempotent-replayed")
            if found != (status, body, "true"):
                return _told(
                    "I3", request, answer, f"{status} {body[:200]!r}, as it is stored under its key,"
                )
            fields = wrong_fields(fields_of(answer), {**_FIELDS, "content-type": _type_of(status)})
            if told := "; ".join(fields):
                return f"I3: {request} under the key {key!r}: {told}"
            if problem_of(await self._send(asked.capture(self._payment.id, key, amount + 7))) != (
                "idempotency_key_reused"
            ):
                return f"I3: the key {key!r} of a capture of {amount} is taken for one of {amount + 7}"
        return None

    async def _wrong_list(self) -> str | None:
        """The attempts that have events are listed, as they are stored."""
        request = Request("GET", f"/payments/{self._payment.id}/captures")
        answer = await self._send(request)
        if answer.status_code != _OK:
            return _told("I9", request, answer, f"{_OK}")
        listed = [
            (each["idempotency_key"], each["amount_cents"], each["status"])
            for each in msgspec.json.decode(answer.content)["captures"]
        ]
        kept = [(each.key, each.amount, each.status) for each in self._payment.listed]
        new = [(key, amount, each.status_code) for key, (amount, each) in self._new.items()]
        if listed != [*kept, *new]:
            return _told("I3, I8", request, answer, f"{[*kept, *new]}")
        return None

    async def _send(self, request: Request) -> Response:
        headers: Mapping[str, str] = {"Idempotency-Key": request.key} if request.key else {}
        return await self._http.request(request.method, request.path, headers=headers, json=request.json)

    def _events(self) -> int:
        (count,) = self._owner.execute(_EVENTS, [self._payment.id]).fetchone() or (0,)
        return int(count)


async def _not_expired(dsn: str, owner: psycopg.Connection, due: Sequence[UUID]) -> str | None:
    """What is due expires, whatever has events of it."""

    def left() -> int:
        (count,) = owner.execute(_NOT_EXPIRED, [due]).fetchone() or (0,)
        return int(count)

    async with whole_application(dsn, sweep_interval_s=_SWEEP_S):
        if await comes_true(lambda: not left(), _LIMIT_S):
            return None
    return f"I5, I9: other versions have stored {len(due)} payments that are due, and {left()} do not expire"


def _type_of(status: int) -> str:
    return "application/json" if status < _REFUSED else "application/problem+json"


def _told(broken: str, request: Request, answer: Response, wanted: str) -> str:
    body = f" of {request.json['amount_cents']}" if request.json and request.key else ""
    key = f" under the key {request.key!r}" if request.key else ""
    found = f"{answer.status_code} {answer.content[:200]!r}"
    return f"{broken}: {request}{body}{key} is answered {found}, where {wanted} was to come"
