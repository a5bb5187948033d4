"""Migrations over rows: what older versions have stored stays, and the events made of it explain it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from lab.static_checks.findings import Findings
from payments_model import MAX_AMOUNT
from payments_verify.audit import AuditError, audit
from payments_verify.payments.inputs.classes import INSTANTS, SECOND, TIME_ZONE
from payments_verify.systems.database import unmigrated_database

_BEGAN = datetime(2029, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_WINDOW, _LONGEST_WINDOW = timedelta(seconds=60), timedelta(days=31)
_LONGEST_KEY = 255
_MANY_REFUSALS = 1_100
"""More than are stored by default: there was a time before that bound."""
_CHANGES = ("clock: daylight saving begins", "clock: daylight saving ends")
_CREATED, _TOO_EARLY, _AUTHORIZED, _IN_TIME, _ENDED, _AFTERWARDS = range(6)
"""The steps of a life, in their order; in the database's clock they need not be in it."""
_CLOCKS = {
    "goes on": timedelta(microseconds=1_000_001),
    "stands still": timedelta(),
    "goes back": timedelta(seconds=-1),
}
_ENDS = ("pending", "authorized", "captured", "declined", "voided", "expired")
_AFTER = {"captured": "already_captured", "pending": "not_authorized", "authorized": "amount_mismatch"}
_STATUS = {"captured": 201, "amount_mismatch": 422}
_LOOK_AGAIN_S = 0.005
_STORED = (
    "SELECT row(payments.*)::text FROM payments ORDER BY 1",
    "SELECT row(capture_attempts.*)::text FROM capture_attempts ORDER BY 1",
)
_INSERT_PAYMENT = (
    "INSERT INTO payments (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at,"
    " captured_at, captured_amount_cents, failed_at, failure_reason)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_INSERT_ATTEMPT = (
    "INSERT INTO capture_attempts"
    " (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True)
class _Life:
    """A payment as an older version has stored it: where it ended, and how the clock went meanwhile.

    Attributes:
        payment: its id.
        end: where it ended.
        step: how far the clock went from one step to the next.
        began: when it was created.
        window: how long it could be captured.
        amount: what was to be captured.
        key: how long each key is, at least.
        refused: captures of another amount that were refused, beside those of each life.
    """

    payment: UUID
    end: str
    step: timedelta
    began: datetime = _BEGAN
    window: timedelta = _WINDOW
    amount: int = 500
    key: int = 1
    refused: int = 0

    def at(self, step: int) -> datetime:
        return self.began + step * self.step

    @property
    def expires_at(self) -> datetime:
        return self.at(_AUTHORIZED) + self.window

    @property
    def ended_at(self) -> datetime:
        return max(self.at(_ENDED), self.expires_at) if self.end == "expired" else self.at(_ENDED)

    def row(self) -> Sequence[Any]:
        """The row of the payment."""
        state = "failed" if self.end in _ENDS[3:] else self.end
        window = (None, None) if state == "pending" else (self.at(_AUTHORIZED), self.expires_at)
        captured = (self.ended_at, self.amount) if state == "captured" else (None, None)
        failed = (self.ended_at, self.end) if state == "failed" else (None, None)
        return (self.payment, self.amount, state, self.at(_CREATED), *window, *captured, *failed)

    def attempts(self) -> Iterator[Sequence[Any]]:
        """The rows of its attempts; the later is not the later key."""
        after = self.ended_at + self.step, _AFTER.get(self.end, "payment_failed")
        yield from self._attempts("9", self.at(_TOO_EARLY), "not_authorized")
        if self.end != "pending":
            yield from self._attempts("5", self.at(_IN_TIME), "amount_mismatch")
        for number in range(self.refused):
            yield self._attempt(f"5 {number}", self.at(_IN_TIME), "amount_mismatch")
        if self.end == "expired":
            yield self._attempt("4 b", self.expires_at, "capture_window_expired")
            yield self._attempt("4 a", self.ended_at, "capture_window_expired")
        if self.end == "captured":
            yield self._attempt("3", self.ended_at, "captured")
        yield from self._attempts("1", *after)

    def _attempts(self, key: str, at: datetime, outcome: str) -> Iterator[Sequence[Any]]:
        yield self._attempt(f"{key} b", at, outcome)
        yield self._attempt(f"{key} a", at + self.step / 1000, outcome)

    def _attempt(self, key: str, at: datetime, outcome: str) -> Sequence[Any]:
        amount = MAX_AMOUNT + 1 - self.amount if outcome == "amount_mismatch" else self.amount
        status, body = _STATUS.get(outcome, 409), f"as {key}".encode()
        return self.payment, key.rjust(self.key, "~"), amount, outcome, status, body, at


def check_migrations(dsn: str, folder: Path) -> Findings:
    """Apply migrations to a database that holds rows of each version before events were recorded.

    Each is applied while the version before stores one more, which has to be in the events, too.

    Args:
        dsn: a database of the server that is used; another is made beside it, and dropped.
        folder: the migrations, in SQL.

    Raises:
        psycopg.Error: if the server cannot be used.
    """
    files = sorted(file for file in folder.glob("*.sql") if ".rollback." not in file.name)
    problems: list[str] = []
    looked_at = 0
    with unmigrated_database(dsn) as another, psycopg.connect(another, autocommit=True) as connection:
        connection.execute("SELECT set_config('TimeZone', %s, false)", [TIME_ZONE])
        # Where migrations are recorded, whatever applies them.
        connection.execute("CREATE TABLE _yoyo_migration (migration_id text)")
        for file in files:
            before = _stored(connection)
            written = _Life(uuid4(), "authorized", _CLOCKS["goes on"]) if _is_old(connection) else None
            try:
                if written is None:
                    connection.execute(file.read_bytes())
                else:
                    _apply_beside_a_writer(connection, another, file, written)
                    looked_at += 1
            except psycopg.Error as error:
                return Findings(looked_at, [f"I9, I12: {file.name} cannot be applied to rows: {error}"])
            if (now := _stored(connection, without=written)) != before:
                problems.append(f"I3, I8: {file.name} changes rows: {before[:3]} became {now[:3]}")
            if not _has_events(connection):
                try:
                    looked_at += _store_lives(connection)
                except (psycopg.DataError, psycopg.IntegrityError) as error:
                    return Findings(looked_at, [f"I9: after {file.name} some rows cannot be stored: {error}"])
        problems += _audited(another, looked_at)
    return Findings(looked_at, problems)


def _apply_beside_a_writer(connection: psycopg.Connection, dsn: str, file: Path, written: _Life) -> None:
    """Apply a migration while the version before stores a payment.

    The writer commits once the migration waits for it, or is done.
    """
    with psycopg.connect(dsn) as writer, ThreadPoolExecutor(1) as thread:
        _store(writer, [written])
        applying = thread.submit(connection.execute, file.read_bytes())
        while not applying.done() and not _waits(writer, connection.info.backend_pid):
            time.sleep(_LOOK_AGAIN_S)
        writer.commit()
        applying.result()


def _waits(connection: psycopg.Connection, process: int) -> bool:
    row = connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [process]).fetchone()
    return row == (True,)


def _stored(connection: psycopg.Connection, without: _Life | None = None) -> list[str]:
    if not _has(connection, "capture_attempts"):
        return []
    rows = [each for query in _STORED for (each,) in connection.execute(query.encode())]
    return [row for row in rows if without is None or str(without.payment) not in row]


def _is_old(connection: psycopg.Connection) -> bool:
    """Whether payments are stored, and no events yet."""
    return _has(connection, "capture_attempts") and not _has_events(connection)


def _has(connection: psycopg.Connection, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)


def _has_events(connection: psycopg.Connection) -> bool:
    return _has(connection, "payment_events")


def _store_lives(connection: psycopg.Connection) -> int:
    """Store each life once; how many there are. They are whole already, so that no trigger is asked."""
    lives = [_Life(uuid4(), end, step) for end in _ENDS for step in _CLOCKS.values()]
    lives += _of_most()
    with connection.transaction():
        _store(connection, lives)
    return len(lives)


def _of_most() -> Iterator[_Life]:
    """Lives of which all is as much as it may be, authorized just before local time goes ahead, or back."""
    step = _CLOCKS["goes on"]
    for change in _CHANGES:
        began = datetime.fromtimestamp(INSTANTS[change] / SECOND, UTC) - _IN_TIME * step
        for end in _ENDS[1:]:
            yield _Life(uuid4(), end, step, began, _LONGEST_WINDOW, MAX_AMOUNT, _LONGEST_KEY)
    yield _Life(uuid4(), "captured", step, amount=1, refused=_MANY_REFUSALS)


def _store(connection: psycopg.Connection, lives: Sequence[_Life]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.executemany(_INSERT_PAYMENT, [life.row() for life in lives])
        cursor.executemany(_INSERT_ATTEMPT, [row for life in lives for row in life.attempts()])


def _audited(dsn: str, payments: int) -> Iterator[str]:
    try:
        report = audit(dsn, workers=1)
    except AuditError as error:
        yield f"I12: after the migrations the database cannot be audited: {error}"
        return
    if report.counts.payments != payments:
        yield f"I12: {payments} payments were stored, and {report.counts.payments} are there"
    for each in report.findings[:3]:
        broken = ", ".join(dict.fromkeys(["I12", each.rule]))
        where = f"payment {each.payment}, {each.what}"
        yield f"{broken}: after the migrations, {where}: expected {each.expected}, found {each.found}"
