"""A clock that can be moved ahead, for a demonstration, in a database that was started for one.

The clock of the schema, ``payment_clock()``, is replaced by one that adds an offset. The offset is its
owner's to move; the service's role may only read it. It runs on between moves, and never goes back.
"""

import psycopg
from psycopg import sql

from payments_core.infrastructure.postgres.migrate import MOVABLE

_CONNECT_LIMIT_S = 10
_INSTALL = """
    CREATE SCHEMA demo_clock;
    CREATE TABLE demo_clock.moved (
        one_row boolean  PRIMARY KEY DEFAULT true CHECK (one_row),
        ahead   interval NOT NULL CHECK (ahead BETWEEN '0' AND '3650 days')
    );
    INSERT INTO demo_clock.moved (ahead) VALUES ('0');
    GRANT USAGE ON SCHEMA demo_clock TO PUBLIC;
    GRANT SELECT ON demo_clock.moved TO PUBLIC;
    CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz
        LANGUAGE sql VOLATILE PARALLEL SAFE
        AS 'SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM demo_clock.moved)';
"""
_ADVANCE = "UPDATE demo_clock.moved SET ahead = ahead + make_interval(secs => %s)"
_AHEAD = "SELECT extract(epoch FROM ahead)::bigint FROM demo_clock.moved"


class ClockAtItsEndError(ValueError):
    """The clock has been moved as far as it goes."""


def install(dsn: str) -> None:
    """Give a migrated database a clock that can be moved. For a database that the caller has started itself.

    Args:
        dsn: its owner's connection string.
    """
    with psycopg.connect(dsn, connect_timeout=_CONNECT_LIMIT_S) as connection:
        connection.execute(_INSTALL)
        connection.execute(sql.SQL("COMMENT ON FUNCTION payment_clock() IS {}").format(MOVABLE))


def is_installed(dsn: str) -> bool:
    """Whether a database has such a clock.

    Raises:
        psycopg.OperationalError: it cannot be reached.
    """
    with psycopg.connect(dsn, connect_timeout=_CONNECT_LIMIT_S) as connection:
        found = connection.execute("SELECT to_regclass('demo_clock.moved')").fetchone()
    return found is not None and found[0] is not None


async def advance(dsn: str, seconds: int) -> int:
    """Move the clock on; by how many seconds it is ahead of the real time then.

    Args:
        dsn: the owner's connection string.
        seconds: by how many; at least 0.

    Raises:
        ClockAtItsEndError: it would be more than ten years ahead.
    """
    async with await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, connect_timeout=_CONNECT_LIMIT_S
    ) as connection:
        try:
            await connection.execute(_ADVANCE, [seconds])
        except psycopg.errors.CheckViolation as error:
            raise ClockAtItsEndError("the clock of a demonstration goes ten years ahead at most") from error
        row = await (await connection.execute(_AHEAD)).fetchone()
    assert row is not None
    ahead: int = row[0]
    return ahead
