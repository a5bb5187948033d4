"""A database clock that tests set and move, for services whose SQL asks PostgreSQL for the time.

`install` gives one database a time of its own. T maps real instants to test time; then

- `clock_timestamp()`, and the service's own clock function if it has one, answer T(the present);
- `now()` and `transaction_timestamp()` answer T(the transaction's start);
- `statement_timestamp()` answers T(the statement's start).

Their differences stay what they are with a real clock, so a service that decides by `now()` after it has
waited for a lock is caught, as it must be. The functions shadow those of `pg_catalog` for names without a
schema, by the database's `search_path`; column defaults are bound to them again.

Limits: sessions opened before `install` keep the real clock, as does SQL that says `CURRENT_TIMESTAMP`,
`LOCALTIMESTAMP`, `CURRENT_DATE`, `'now'::timestamptz` or `pg_catalog.now()`, a view defined before, and a
function, role or session that sets a `search_path` of its own. Whether a service follows has to be tried. A
copy made with `CREATE DATABASE ... TEMPLATE` lacks the `search_path`: install there again. A transaction that
begins while a change is under way may take either time for its start.

Where Citus has the database on several machines, each has a clock, and they are set one after the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_LOCK_LIMIT_MS = 10_000
_CONNECT_LIMIT_S = 10
_LATEST_US = 2**53  # year 2255: intervals are scaled in double precision

# Printed with only pg_catalog visible, an expression names system functions bare and all else in full.
# Evaluated again with test_clock in front, the bare names mean the test's functions.
_DEFAULTS = """
    SELECT relation.oid::regclass::text, column_.attname, pg_get_expr(value.adbin, value.adrelid)
    FROM pg_attrdef AS value
    JOIN pg_attribute AS column_ ON (column_.attrelid, column_.attnum) = (value.adrelid, value.adnum)
    JOIN pg_class AS relation ON relation.oid = value.adrelid
    WHERE column_.attgenerated = ''
      AND relation.relkind IN ('r', 'p')
      AND pg_get_expr(value.adbin, value.adrelid)
          ~ '\\m((now|(clock|statement|transaction)_timestamp)\\(\\)|(CURRENT|LOCAL)_?TIMESTAMP|CURRENT_DATE)'
"""
_WORKERS = "SELECT nodename, nodeport FROM pg_dist_node WHERE isactive AND groupid <> 0 ORDER BY nodeid"
_KEYWORDS = {
    "CURRENT_TIMESTAMP": "now()",
    "LOCALTIMESTAMP": "now()::timestamp",
    "CURRENT_DATE": "now()::date",
}


class ClockNotInstalledError(RuntimeError):
    """The database has no clock of its own yet."""


def install(conninfo: str, clock_function: str) -> None:
    """Give a database a clock of its own, which shows the real time until it is set. Safe to repeat.

    Install after the schema is migrated and before the service connects.

    Args:
        conninfo: Connection string of the owner of the database and its tables.
        clock_function: The service's own clock, a function without arguments; replaced if it exists.

    Raises:
        psycopg.errors.InsufficientPrivilege: The role owns neither the database nor is it a superuser.
        psycopg.errors.LockNotAvailable: Somebody held a table for 10 s.
    """
    for node in nodes(conninfo):
        _install(node, clock_function)


def nodes(conninfo: str) -> list[str]:
    """How the database is reached; where Citus has it on several machines, how on each of the others."""
    with psycopg.connect(conninfo, connect_timeout=_CONNECT_LIMIT_S) as connection:
        if connection.execute("SELECT to_regclass('pg_dist_node')").fetchone() == (None,):
            return [conninfo]
        workers = connection.execute(_WORKERS).fetchall()
    return [conninfo, *(make_conninfo(conninfo, host=host, port=port) for host, port in workers)]


def _install(conninfo: str, clock_function: str) -> None:
    with psycopg.connect(conninfo, connect_timeout=_CONNECT_LIMIT_S) as connection:
        # Each machine has its own; a setting that PostgreSQL does not know is kept, and means nothing.
        connection.execute("SELECT set_config('citus.enable_ddl_propagation', 'off', true)")
        connection.execute(f"SET LOCAL lock_timeout = {_LOCK_LIMIT_MS}")
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('test_clock'))")
        if not _is_installed(connection):
            connection.execute(resources.files(__package__).joinpath("clock.sql").read_bytes())
        _replace_clock_function(connection, clock_function)
        _extend_search_path(connection)
        _rebind_defaults(connection)


class DatabaseClock:
    """The hand on the clock of a database that `install` prepared. Times are in µs since 1970-01-01 UTC.

    Every method is one round trip to each machine, and the change is in force when it returns. One task at a
    time.
    """

    def __init__(self, connections: Sequence[psycopg.AsyncConnection]) -> None:
        self._connections = connections

    @classmethod
    @asynccontextmanager
    async def connect(cls, conninfo: str) -> AsyncIterator[Self]:
        """Open a connection of the clock's own.

        Args:
            conninfo: Connection string of the role that installed the clock.

        Raises:
            ClockNotInstalledError: `install` was not called on this database.
        """
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(_connected(node)) for node in nodes(conninfo)]
            yield cls(connections)

    async def get(self) -> int:
        """The present test time in µs."""
        return await self._call(b"SELECT test_clock.get_us()")

    async def set(self, us: int) -> int:
        """Freeze the clock at `us`, earlier or later than now, and return it.

        Raises:
            ValueError: It lies before 1970 or after the year 2255.
        """
        if not 0 <= us < _LATEST_US:
            raise ValueError(f"the clock shows 0 to {_LATEST_US - 1} µs since 1970, not {us}")
        return await self._call(b"SELECT test_clock.set_us(%s)", us)

    async def advance(self, us: int) -> int:
        """Move the clock by `us` µs, back if negative, frozen or flowing as it is; return the new time."""
        return await self._call(b"SELECT test_clock.advance_us(%s)", us)

    async def flow(self, offset_us: int = 0) -> int:
        """Let the clock flow `offset_us` µs ahead of the real one, and return the time it shows."""
        return await self._call(b"SELECT test_clock.flow_us(%s)", offset_us)

    async def freeze(self) -> int:
        """Stop a flowing clock where it is, and return that time."""
        return await self._call(b"SELECT test_clock.set_us(test_clock.get_us())")

    async def _call(self, statement: bytes, *arguments: int) -> int:
        rows = [
            await (await connection.execute(statement, arguments)).fetchone()
            for connection in self._connections
        ]
        assert rows[0] is not None
        us: int = rows[0][0]
        return us


@asynccontextmanager
async def _connected(conninfo: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(
        conninfo,
        autocommit=True,
        connect_timeout=_CONNECT_LIMIT_S,
        prepare_threshold=0,
        application_name="pgweave clock",
    ) as connection:
        found = await (await connection.execute("SELECT to_regclass('test_clock.latest')")).fetchone()
        if found is None or found[0] is None:
            raise ClockNotInstalledError(
                f"database {connection.info.dbname} has no clock of its own; call clock.install first"
            )
        # Nobody needs the clock after a crash; waiting for the disk would only slow the steps.
        await connection.execute("SET synchronous_commit = off")
        yield connection


def _is_installed(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('test_clock.latest')").fetchone()
    return row is not None and row[0] is not None


def _replace_clock_function(connection: psycopg.Connection, name: str) -> None:
    row = connection.execute("SELECT to_regprocedure(%s)::text", [f"{name}()"]).fetchone()
    if row is None or row[0] is None:
        return
    connection.execute(
        f"CREATE OR REPLACE FUNCTION {row[0]} RETURNS timestamptz LANGUAGE sql VOLATILE "
        "AS 'SELECT test_clock.clock_timestamp()'".encode()
    )


def _extend_search_path(connection: psycopg.Connection) -> None:
    """Put test_clock last but for pg_catalog: it shadows that, and new tables keep their schema."""
    row = connection.execute("SELECT reset_val FROM pg_settings WHERE name = 'search_path'").fetchone()
    assert row is not None
    schemas = [schema.strip() for schema in row[0].split(",")]
    kept = [schema for schema in schemas if schema and schema not in {"test_clock", "pg_catalog"}]
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = {}").format(
            sql.Identifier(connection.info.dbname),
            sql.SQL(", ").join(sql.SQL(schema) for schema in [*kept, "test_clock", "pg_catalog"]),
        )
    )


def _rebind_defaults(connection: psycopg.Connection) -> None:
    connection.execute("SET LOCAL search_path = pg_catalog")
    defaults = connection.execute(_DEFAULTS.encode()).fetchall()
    connection.execute("SET LOCAL search_path = test_clock, pg_catalog")
    for table, column, expression in defaults:
        rebound = expression
        for keyword, function in _KEYWORDS.items():
            rebound = rebound.replace(keyword, function)
        column_name = sql.Identifier(column).as_string(connection)
        connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column_name} SET DEFAULT {rebound}".encode())
