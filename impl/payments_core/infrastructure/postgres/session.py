"""What the sessions of the service are: as whom they work, and how long they may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

APPLICATION_NAME = "payments-core"
# A server that went away without a word is noticed after about 20 s, and not after the system's two hours.
_LIVELINESS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_OLDEST = 150_000  # that the service runs on; other databases call themselves older, and know other settings
_HAS_TRANSACTION_TIMEOUT = 170_000


class RoleError(RuntimeError):
    """The database does not let this login work as the application; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """Settings of a session, in force from its first statement: they travel with the start of the connection.

    Attributes:
        role: what the login works as; empty to stay who it is.
        statement_timeout_ms: the longest statement.
        lock_timeout_ms: the longest wait for one lock.
        idle_in_transaction_timeout_ms: the longest silence within a transaction. PostgreSQL times the
            silence after a Sync, with which each batch ends, and not that after a Flush.
        transaction_timeout_ms: the longest transaction; PostgreSQL 17 and newer know it.
    """

    role: str
    statement_timeout_ms: int
    lock_timeout_ms: int
    idle_in_transaction_timeout_ms: int
    transaction_timeout_ms: int

    def connection_parameters(self, dsn: str) -> dict[str, Any]:
        """Parameters beside those of ``dsn``, whose own have the last word.

        Raises:
            psycopg.ProgrammingError: if ``dsn`` is no connection string.
        """
        settings = {
            "statement_timeout": self.statement_timeout_ms,
            "lock_timeout": self.lock_timeout_ms,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_timeout_ms,
        } | ({"role": self.role} if self.role else {})
        options = [f"-c {name}={value}" for name, value in settings.items()]
        own = conninfo_to_dict(dsn)
        if own.get("options"):
            options.append(str(own["options"]))
        liveliness = {name: value for name, value in _LIVELINESS.items() if name not in own}
        return {"application_name": APPLICATION_NAME, "options": " ".join(options), **liveliness}

    async def prepare(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Make the settings of a new connection that other servers would not let it start with."""
        version = connection.info.server_version
        settings = {name: value for name, (since, value) in self._later().items() if version >= since}
        given = connection.info.get_parameters().get("options", "")
        made = [f"SET {name} = {value}" for name, value in settings.items() if not _sets(given, name)]
        if made:
            await connection.execute("; ".join(made).encode())

    def _later(self) -> dict[str, tuple[int, str]]:
        """Settings by name: the version of PostgreSQL that may be asked for them, and their value."""
        return {
            # The plan of a prepared statement is kept. One that reads all of a table, because that is new and
            # small, would go on to do so when it has millions of rows.
            "enable_seqscan": (_OLDEST, "off"),
            # What costs too much has its plan compiled, each time; up to PostgreSQL 17 a scan that is not
            # wanted, and has to be, costs any amount.
            "jit": (_OLDEST, "off"),
            "transaction_timeout": (_HAS_TRANSACTION_TIMEOUT, str(self.transaction_timeout_ms)),
        }

    def require(self, dsn: str) -> None:
        """See that a session can be had like this.

        Raises:
            RoleError: if it cannot.
        """
        try:
            psycopg.connect(dsn, **self.connection_parameters(dsn)).close()
        except psycopg.OperationalError as error:
            raise RoleError(
                f"{str(error).strip()}\nThe service works as the role {self.role}: let the login take it on "
                f"(GRANT {self.role} TO <login>), or name another in PAYMENTS_DATABASE_ROLE"
            ) from error


def _sets(options: str, name: str) -> bool:
    """Whether a connection's options make a setting: ``-c name=…``, ``-cname=…`` or ``--name=…``."""
    return re.search(rf"(?:-c\s*|--){name.replace('_', '[-_]')}=", options) is not None
