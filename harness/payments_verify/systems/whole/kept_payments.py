"""Payments as other versions have stored them: with other words, and without events.

A process of a version before the events may serve on after their migration: what it decides then has none.
Where the clock was set back, all of that is dated later than it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg

AMOUNT = 500
_HOUR = timedelta(hours=1)
_SET_BACK, _LONG = timedelta(days=400), timedelta(days=4_000)
"""How far the clock was set back, and a window that is longer than this version takes."""
_STATUSES = {"captured": (201, 200), "amount_mismatch": (422, 409)}
_REFUSED = (409, 403)
_BODIES = (
    b'{"outcome":"said otherwise","amount_cents":1}',
    b' { "b" : 1.0 , "a" : "\\u00e9", "a" : null }\n',
    "Der Betrag stimmt nicht: 5,00 €".encode(),
    b"",
    b"\xff\x00\xfe",
    b'{"detail": "' + b"long " * 4_000 + b'"}',
)
"""No two versions need to say the same."""

Recorded = Literal["all", "creation", "nothing"]
RECORDED: Sequence[Recorded] = ("all", "creation", "nothing")

_INSERT_PAYMENT = """
    INSERT INTO payments (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at,
        captured_at, captured_amount_cents, failed_at, failure_reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_ATTEMPT = """
    INSERT INTO capture_attempts
        (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_EVENT = """
    INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents,
        capture_expires_at, failure_reason, idempotency_key, answer_sha256)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, sha256(%s))
"""


@dataclass(frozen=True)
class KeptAttempt:
    """An attempt that another version has stored.

    Attributes:
        key: its key.
        amount: what was to be captured.
        outcome: how it was decided.
        status, body: how it was answered.
    """

    key: str
    amount: int
    outcome: str
    status: int
    body: bytes


@dataclass(frozen=True)
class KeptPayment:
    """A payment that another version has stored.

    Attributes:
        end: where it is: pending, authorized, ended (its window is over), captured, or why it failed.
        recorded: what of it has events.
        began: an hour before it was authorized, if it was.
        is_later: whether that is later than the clock shows.
        attempts: in the order of their decisions.
        id: its own.
    """

    end: str
    recorded: Recorded
    began: datetime
    is_later: bool
    attempts: Sequence[KeptAttempt]
    id: UUID

    def __str__(self) -> str:
        return f"a payment that is {self.end}, of which {self.recorded} has events"

    @property
    def state(self) -> str:
        """The state of its row."""
        return {"ended": "authorized", "voided": "failed", "declined": "failed", "expired": "failed"}.get(
            self.end, self.end
        )

    @property
    def created(self) -> datetime:
        """When it was created: a clock that was set back has authorized it earlier."""
        return self.began + (2 * _HOUR if self.is_later else timedelta())

    @property
    def listed(self) -> Sequence[KeptAttempt]:
        """Those of its attempts that have events."""
        return self.attempts if self.recorded == "all" else ()

    def row(self) -> Sequence[Any]:
        """Its row."""
        authorized, captured_at, expired = (self.began + each * _HOUR for each in (1, 1, 3))
        expires = self.began + (_LONG if self.end == "authorized" else 2 * _HOUR)
        window = (None, None) if self.end == "pending" else (authorized, expires)
        if self.is_later:
            captured_at = self.began  # before it was authorized
        captured = (captured_at, AMOUNT) if self.end == "captured" else (None, None)
        failed_at = expired if self.end == "expired" else captured_at
        failed = (failed_at, self.end) if self.state == "failed" else (None, None)
        return (self.id, AMOUNT, self.state, self.created, *window, *captured, *failed)

    def events(self) -> Iterator[Sequence[Any]]:
        """The rows of its events, but for their payment and their numbers."""
        if self.recorded == "nothing":
            return
        yield "created", self.created, AMOUNT, None, None, None, None
        if self.recorded == "creation":
            return
        *_, authorized, expires, _, _, failed, reason = self.row()
        early = [each for each in self.attempts if each.outcome == "not_authorized"]
        late = [each for each in self.attempts if each.outcome == "payment_failed"]
        yield from map(self._decided, early)
        if authorized:
            yield "authorized", authorized, None, expires, None, None, None
        yield from (self._decided(each) for each in self.attempts if each not in (*early, *late))
        if failed:
            yield "expired" if reason == "expired" else "failed", failed, None, None, reason, None, None
        yield from map(self._decided, late)

    def _decided(self, attempt: KeptAttempt) -> Sequence[Any]:
        return attempt.outcome, self.began, attempt.amount, None, None, attempt.key, attempt.body


_OUTCOMES: Mapping[str, Sequence[str]] = {
    "pending": ("not_authorized",),
    "authorized": ("not_authorized", "amount_mismatch"),
    "ended": ("not_authorized", "amount_mismatch", "capture_window_expired"),
    "captured": ("amount_mismatch", "captured", "already_captured"),
    "declined": ("amount_mismatch", "payment_failed"),
    "voided": ("payment_failed",),
    "expired": ("capture_window_expired", "payment_failed"),
}
"""How captures of a payment were decided, by where it is."""


def kept_payments(owner: psycopg.Connection, ends: Sequence[str]) -> Sequence[KeptPayment]:
    """Store a payment for each of these ends, and for all that may be recorded of it.

    Args:
        owner: a superuser's session. The schema's rule for statuses goes: it is of this version.
        ends: where payments are, see `KeptPayment`.
    """
    with owner.transaction():
        (now,) = owner.execute("SELECT payment_clock()").fetchone() or (None,)
        payments = list(_made(now, ends))
        owner.execute("ALTER TABLE capture_attempts DROP CONSTRAINT IF EXISTS status_of_outcome")
        owner.execute("SET LOCAL session_replication_role = replica")  # they are whole
        with owner.cursor() as cursor:
            cursor.executemany(_INSERT_PAYMENT, [each.row() for each in payments])
            cursor.executemany(
                _INSERT_ATTEMPT,
                [
                    (each.id, one.key, one.amount, one.outcome, one.status, one.body, each.began)
                    for each in payments
                    for one in each.attempts
                ],
            )
            cursor.executemany(
                _INSERT_EVENT,
                [
                    (each.id, number, *event)
                    for each in payments
                    for number, event in enumerate(each.events(), 1)
                ],
            )
    return payments


def _made(now: Any, ends: Sequence[str]) -> Iterator[KeptPayment]:  # noqa: ANN401 - an instant
    bodies, which, later = cycle(_BODIES), cycle((0, 1)), cycle((False, True))
    for recorded in RECORDED:
        for end in ends:
            attempts = [
                KeptAttempt(
                    f"kept {number}",
                    AMOUNT + (outcome == "amount_mismatch"),
                    outcome,
                    _STATUSES.get(outcome, _REFUSED)[next(which)],
                    next(bodies),
                )
                for number, outcome in enumerate(_OUTCOMES[end])
            ]
            is_later = next(later) and end != "ended"
            began = now + _SET_BACK if is_later else now - timedelta(days=1)
            yield KeptPayment(end, recorded, began, is_later, attempts, uuid4())
