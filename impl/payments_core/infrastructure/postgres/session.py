"""What the sessions of the service are: as whom they work, how long they may take, how they speak."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.hosts import each_host
from payments_core.infrastructure.postgres.options import named

APPLICATION_NAME = "payments-core"
ENCODING = "utf8"
"""What is said and heard in, whatever the database keeps, or does not know (SQL_ASCII)."""
# A server that went away without a word is noticed after about 6 s, and not after the system's two hours.
_LIVELINESS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6_000,
}
# Of several hosts, at most one is the primary; the others follow, and one may be lost.
_OF_SEVERAL = {"connect_timeout": 3, "target_session_attrs": "read-write"}
_OLDEST = 150_000  # that the service runs on; other databases call themselves older, and know other settings
_HAS_TRANSACTION_TIMEOUT = 170_000

# Whatever is set for the server, the database or the login: tables are where the migrations put them, a
# single statement has the isolation that the locking order needs, a backslash is one, an error leaves the
# session, a warning at a commit is heard, and a commit that was answered is durable. Values are expressions.
_NEEDS = {
    "search_path": "concat_ws(', ', 'public', nullif(current_setting('search_path'), ''))",
    "default_transaction_isolation": "'read committed'",
    "standard_conforming_strings": "'on'",
    "exit_on_error": "'off'",
    "client_min_messages": "'notice'",
    "synchronous_commit": "regexp_replace(current_setting('synchronous_commit'), '^(off|local)$', 'on')",
}
# That no standby is waited for is no accident where the connection itself says it.
_DURABLE_HERE = "regexp_replace(current_setting('synchronous_commit'), '^off$', 'local')"
_STANDBY = (
    "the server is a standby: name the primary in DATABASE_URL, or all hosts (host=a,b), among which the "
    "service finds the primary"
)
PoolerMode = Literal["session", "transaction"]


class SessionError(psycopg.OperationalError):
    """The database gives no session that payments can be captured in; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """Settings of a session, made in one round trip when its connection is new.

    Where a pooler lends sessions for a transaction, they are made again in each transaction, by its batch.

    Attributes:
        role: what the login works as; empty to stay who it is.
        statement_timeout_ms: the longest statement.
        lock_timeout_ms: the longest wait for one lock.
        idle_in_transaction_timeout_ms: the longest silence within a transaction. PostgreSQL times the
            silence after a Sync, with which each batch ends, and not that after a Flush.
        transaction_timeout_ms: the longest transaction; PostgreSQL 17 and newer know it.
        pooler_mode: how long a session stays a connection's own.
    """

    role: str
    statement_timeout_ms: int
    lock_timeout_ms: int
    idle_in_transaction_timeout_ms: int
    transaction_timeout_ms: int
    pooler_mode: PoolerMode = "session"

    def connection_parameters(self, dsn: str) -> dict[str, Any]:
        """Parameters beside those of ``dsn`` and of libpq's variables, which come first.

        Raises:
            psycopg.ProgrammingError: if ``dsn`` is no connection string.
        """
        name = {} if "application_name" in _given(dsn) else {"application_name": APPLICATION_NAME}
        return {**name, **parameters(dsn)}

    async def prepare(self, connection: Connection) -> None:
        """Apply the settings to a new connection; settings in its ``options`` win.

        They are made by a statement, because poolers drop ``options``, or refuse connections that have them.

        Raises:
            SessionError: if payments cannot be captured in such a session.
        """
        is_lent = self.pooler_mode == "transaction"
        given = connection.info.get_parameters().get("options", "")
        made_by_options = named(given)
        settings = needs(connection.info.server_version, given) | {
            name: value
            for name, value in self.settings(connection.info.server_version).items()
            if name not in made_by_options
        }
        made = set_all(settings, is_local=is_lent)
        connection.opening = made if is_lent else None
        replication_role, _, is_standby = await self._made(connection, made)
        require_guards(replication_role)
        require_primary(is_standby)

    async def _made(self, connection: psycopg.AsyncConnection[Any], made: str) -> tuple[Any, ...]:
        """The state of a session for which settings were made."""
        try:
            results = await connection.execute(f"{made}; {sql.SESSION_STATE}".encode())
            row: tuple[Any, ...] | None = await (await results.set_result(-1)).fetchone()
        except (errors.InsufficientPrivilege, errors.InvalidParameterValue) as error:
            raise SessionError(
                f"{str(error).strip()}\nThe service works as the role {self.role}: let the login take it on "
                f"(GRANT {self.role} TO <login>), or name another in PAYMENTS_DATABASE_ROLE"
            ) from error
        assert row is not None
        return row

    def settings(self, version: int) -> dict[str, str]:
        """Settings that this version of PostgreSQL may be asked for, as expressions by name."""
        settings = {
            "statement_timeout": (0, self.statement_timeout_ms),
            "lock_timeout": (0, self.lock_timeout_ms),
            "idle_in_transaction_session_timeout": (0, self.idle_in_transaction_timeout_ms),
            "transaction_timeout": (_HAS_TRANSACTION_TIMEOUT, self.transaction_timeout_ms),
            # The plan of a prepared statement is kept. One that reads all of a table, because that is new and
            # small, would go on to do so when it has millions of rows.
            "enable_seqscan": (_OLDEST, "off"),
            # What costs too much has its plan compiled, each time; up to PostgreSQL 17 a scan that is not
            # wanted, and has to be, costs any amount.
            "jit": (_OLDEST, "off"),
        } | ({"role": (0, self.role)} if self.role else {})
        return {name: f"'{value}'" for name, (since, value) in settings.items() if version >= since}

    async def require(self, dsn: str) -> None:
        """See that payments can be captured in a session like this.

        Raises:
            SessionError: if they cannot.
            psycopg.Error: the connection failed.
        """
        if self.pooler_mode == "session":
            await asyncio.to_thread(require_own_sessions, dsn, "or set PAYMENTS_POOLER_MODE=transaction")
        async with await Connection.connect(
            dsn, autocommit=True, **self.connection_parameters(dsn)
        ) as connection:
            await self.prepare(connection)
            row = await (await connection.execute(sql.SESSION_STATE)).fetchone()
        assert row is not None
        require_writable(row[1])


def parameters(dsn: str) -> dict[str, Any]:
    """Parameters of every connection beside those of ``dsn`` and libpq's variables, which come first.

    Raises:
        psycopg.ProgrammingError: if ``dsn`` is no connection string.
    """
    chosen = _LIVELINESS | (_OF_SEVERAL if len(each_host(dsn)) > 1 else {})
    return {"client_encoding": ENCODING, **{name: chosen[name] for name in chosen.keys() - _given(dsn)}}


def _given(dsn: str) -> set[str]:
    """The parameters that a connection string names, or a variable of libpq's."""
    known = {each.keyword.decode(): each.envvar for each in Conninfo.get_defaults()}
    named_there = (name for name, variable in known.items() if variable and variable.decode() in os.environ)
    return {*conninfo_to_dict(dsn), *named_there}


def needs(version: int, options: str = "") -> dict[str, str]:
    """Settings with which the schema and the service find what they expect, as expressions by name.

    Args:
        version: the server's.
        options: those of the connection. They may say that a commit waits for no standby.
    """
    if version < _OLDEST:
        return {}
    return _NEEDS | ({"synchronous_commit": _DURABLE_HERE} if "synchronous_commit" in named(options) else {})


def set_all(settings: dict[str, str], *, is_local: bool = False) -> str:
    """A statement that makes settings, for the session or for its transaction, in this order."""
    made = (f"set_config('{name}', {value}, {is_local})" for name, value in settings.items())
    return f"SELECT {', '.join(made)}"


def require_own_sessions(dsn: str, otherwise: str) -> None:
    """See that a connection keeps its session: that no pooler lends it to others between transactions.

    A pooler that is busy may do so unseen, for a while. It gives connections process ids of its own, and to
    whom asks next, the session that was used last; or, if others ask meanwhile, another one.

    Raises:
        SessionError: if it does not; the message says what to do, ``otherwise`` included.
        psycopg.Error: a connection failed.
    """
    with _connect_as_any(dsn) as first, _connect_as_any(dsn) as second:
        process = _process(first)
        if process == first.info.backend_pid:
            return
        with second.transaction():
            if _process(second) != process == _process(first):
                return
    raise SessionError(
        "a pooler in between lends sessions for a transaction (pool_mode=transaction): name the server "
        f"itself, or let the pooler keep sessions (pool_mode=session), {otherwise}"
    )


def _connect_as_any(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None, **parameters(dsn))


def _process(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    process: int = row[0]
    return process


def require_guards(replication_role: str | None) -> None:
    """See that the triggers of the schema are on in a session, which it may not change itself.

    Raises:
        SessionError: if they are off.
    """
    if replication_role not in {"origin", None}:
        raise SessionError(
            f"session_replication_role is {replication_role}, which turns the guards of the schema off: "
            "RESET it where it is set (ALTER DATABASE, ALTER ROLE or ALTER SYSTEM)"
        )


def require_primary(is_standby: str | None) -> None:
    """See that a session's server is no standby: it lags, so that what is read there may be of the past.

    Raises:
        SessionError: if it is one.
    """
    if is_standby == "on":
        raise SessionError(_STANDBY)


def require_writable(is_read_only: str) -> None:
    """See that a session may write.

    Raises:
        SessionError: if it may not.
    """
    if is_read_only == "on":
        raise SessionError(
            "nothing can be written there: RESET default_transaction_read_only where it is set (ALTER "
            "DATABASE, ALTER ROLE or ALTER SYSTEM)"
        )
