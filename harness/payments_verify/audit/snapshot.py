"""One snapshot of a database, which several sessions share; read-only, and without limits of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from payments_verify.audit.findings import AuditError
from payments_verify.audit.rows import AttemptRow, EventRow, PaymentRow
from payments_verify.called import command_line

Connection: TypeAlias = psycopg.Connection[Any]

SLICE = 10_000
"""Payments in a share of the work."""

_CONNECT_LIMIT_S = 10
_POSTGRES_EPOCH_US = 946_684_800_000_000
INFINITY = 2**63 - 1 + _POSTGRES_EPOCH_US
MINUS_INFINITY = -(2**63) + _POSTGRES_EPOCH_US
"""What PostgreSQL's infinite instants are, as µs."""

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# An audit may take longer than a request may, and what it reads in order is worth more memory than usual.
_SETTINGS = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL work_mem = '16MB'",
)
_TRANSACTION_TIMEOUT = 170_000
_COLUMNS = """
    SELECT relname, attname, has_column_privilege(relation.oid, attname, 'SELECT')
    FROM pg_class AS relation JOIN pg_attribute ON attrelid = relation.oid
    WHERE relation.oid = ANY(ARRAY[to_regclass('payments'), to_regclass('capture_attempts'),
                                   to_regclass('payment_events')])
"""
_NEEDED = {
    "payments": set(PaymentRow._fields),
    "capture_attempts": (set(AttemptRow._fields) - {"answer_sha256"}) | {"body"},
    "payment_events": set(EventRow._fields),
}
BOUNDS = f"""
    SELECT payment_id::text FROM (
        SELECT payment_id, row_number() OVER (ORDER BY payment_id) AS number FROM payments) AS numbered
    WHERE number % {SLICE} = 0
    ORDER BY payment_id
"""  # noqa: S608 - constants


class Part(NamedTuple):
    """A range of payment ids.

    Attributes:
        first: the first id, as text; ``None`` if there is no lower bound.
        end: the first id after it, as text; ``None`` if there is no upper bound.
    """

    first: str | None
    end: str | None


class Snapshot(NamedTuple):
    """What several sessions need to see the same.

    Attributes:
        name: the snapshot's name, valid while the session that took it stays in its transaction.
        as_of: the database's clock then, as text.
        payments: how many payments there are.
        parts: shares of the work, which cover all ids.
    """

    name: str
    as_of: str
    payments: int
    parts: Sequence[Part]


class _Id(Loader):
    """A binary ``uuid`` as it is: 16 bytes, which sort as the database sorts them."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class _Instant(Loader):
    """A binary ``timestamptz`` as µs since 1970."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big", signed=True) + _POSTGRES_EPOCH_US


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """A session in a read-only transaction with a snapshot of its own, until the block ends.

    Raises:
        AuditError: if the database cannot be reached.
    """
    try:
        connection = psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_LIMIT_S, application_name="payments-verify audit"
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise AuditError(f"the database cannot be reached: {str(error).strip()}") from error
    with connection:
        connection.adapters.register_loader("uuid", _Id)
        connection.adapters.register_loader("timestamptz", _Instant)
        connection.execute(_BEGIN)
        for setting in _SETTINGS:
            connection.execute(setting)
        if connection.info.server_version >= _TRANSACTION_TIMEOUT:
            connection.execute("SET LOCAL transaction_timeout = 0")
        yield connection


@contextmanager
def taken(dsn: str) -> Iterator[Snapshot]:
    """A snapshot that others may use until the block ends.

    Raises:
        AuditError: if the database cannot be reached, or is not what an audit can read.
    """
    with connected(dsn) as connection:
        _require_schema(connection)
        name, as_of = _row(connection, "SELECT pg_export_snapshot(), clock_timestamp()::text")
        (payments,) = _row(connection, "SELECT count(*) FROM payments")
        bounds = [row[0] for row in connection.execute(BOUNDS.encode())]
        edges = [None, *bounds, None]
        parts = [Part(first, end) for first, end in pairwise(edges)]
        yield Snapshot(name, as_of, payments, parts)


def join(connection: Connection, name: str) -> None:
    """See what a snapshot shows, in a session that has read nothing yet.

    Raises:
        psycopg.Error: if the snapshot is gone.
    """
    connection.execute(psycopg.sql.SQL("SET TRANSACTION SNAPSHOT {}").format(name))


def address(dsn: str) -> str:
    """Where a connection string leads, without a password."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # psycopg's error repeats the string, and with it a password.
        raise AuditError("that is no connection string of PostgreSQL") from None
    host = str(parts.get("host") or "localhost")
    return f"{quote(host, safe='.:')}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


def _require_schema(connection: Connection) -> None:
    found: dict[str, dict[str, bool]] = {table: {} for table in _NEEDED}
    for table, column, may_read in connection.execute(_COLUMNS):
        found[table][column] = may_read
    missing = [table for table, columns in found.items() if not columns]
    migrate = command_line("migrate", program="payments-core")
    if missing == list(_NEEDED):
        raise AuditError(
            f"this database has no payments: name the service's database, or run {migrate} on it"
        )
    absent = sorted(
        f"{table}.{column}" for table, names in _NEEDED.items() for column in names - found[table].keys()
    )
    if missing or absent:
        raise AuditError(
            f"the schema is older or newer than this audit, and lacks {', '.join(missing or absent)}: "
            f"run {migrate} of the same version; it reconstructs the events of older payments"
        )
    hidden = sorted(
        {table for table, names in _NEEDED.items() if not all(found[table][name] for name in names)}
    )
    if hidden:
        raise AuditError(
            f"this role may not read {', '.join(hidden)}: GRANT SELECT ON {', '.join(_NEEDED)} TO the role"
        )


def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(query.encode()).fetchone()
    assert row is not None, "the query has one row"
    return row
