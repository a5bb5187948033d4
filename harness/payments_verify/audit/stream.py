"""The pasts of payments, read in their order through cursors: as much memory as the largest of them needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar

from psycopg import sql
from psycopg.rows import args_row

from payments_verify.audit.rows import AttemptRow, EventRow, Past, PaymentRow
from payments_verify.audit.snapshot import Connection, Part

_ROWS_AT_ONCE = 2000
_PAYMENTS = sql.SQL("SELECT {} FROM payments").format(
    sql.SQL(", ").join(map(sql.Identifier, PaymentRow._fields))
)
_ATTEMPTS = sql.SQL(
    "SELECT payment_id, idempotency_key, amount_cents, outcome, decided_at, status, sha256(body)"
    " FROM capture_attempts"
)
_EVENTS = sql.SQL("SELECT {} FROM payment_events").format(
    sql.SQL(", ").join(map(sql.Identifier, EventRow._fields))
)
_Row = TypeVar("_Row", bound=NamedTuple)


def pasts(connection: Connection, part: Part) -> Iterator[Past]:
    """Everything that is stored about each payment of a part, in the order of the ids.

    Args:
        connection: in a transaction with the snapshot that is to be read.
        part: which payments.
    """
    payments = _grouped(connection, "payments", _PAYMENTS, "payment_id", PaymentRow, part)
    attempts = _grouped(connection, "attempts", _ATTEMPTS, "payment_id, idempotency_key", AttemptRow, part)
    events = _grouped(connection, "events", _EVENTS, "payment_id, event_number", EventRow, part)
    payment, attempt, event = next(payments, None), next(attempts, None), next(events, None)
    while payment or attempt or event:
        payment_id = min(each[0] for each in (payment, attempt, event) if each is not None)
        rows, tried, happened = list[PaymentRow](), [], []
        if payment is not None and payment[0] == payment_id:
            rows = list(payment[1])
            payment = next(payments, None)
        if attempt is not None and attempt[0] == payment_id:
            tried = list(attempt[1])
            attempt = next(attempts, None)
        if event is not None and event[0] == payment_id:
            happened = list(event[1])
            event = next(events, None)
        yield Past(payment_id, rows[0] if rows else None, tried, happened, max(0, len(rows) - 1))


def without_payment(connection: Connection) -> Iterator[tuple[str, int]]:
    """The tables with rows that name no payment, and how many: no past has them."""
    for table in ("payments", "capture_attempts", "payment_events"):
        query = sql.SQL("SELECT count(*) FROM {} WHERE payment_id IS NULL").format(sql.Identifier(table))
        (count,) = connection.execute(query).fetchone() or (0,)
        if count:
            yield table, count


def _grouped(
    connection: Connection, name: str, query: sql.Composable, order: str, row: type[_Row], part: Part
) -> Iterator[tuple[bytes, Iterator[_Row]]]:
    """The rows of a table, grouped by payment."""
    with connection.cursor(name=f"audit_{name}", row_factory=args_row(row)) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        whole = sql.SQL("{} {} ORDER BY {}").format(query, _where(part), sql.SQL(order))
        cursor.execute(whole, binary=True)
        yield from groupby(cursor, key=itemgetter(0))


def _where(part: Part) -> sql.Composable:
    bounds = [
        sql.SQL(" payment_id {} {}::uuid ").format(sql.SQL(compared), bound)
        for compared, bound in ((">=", part.first), ("<", part.end))
        if bound is not None
    ]
    return sql.SQL("WHERE") + sql.SQL("AND").join([sql.SQL(" payment_id IS NOT NULL "), *bounds])
