"""Where a database is, as a service is told: one URL that drivers of every language read, or its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, PGconn

_NO_TLS = {"sslmode": "disable"}
_OF_THE_WAY = frozenset({
    *("channel_binding", "connect_timeout", "gssdelegation", "gssencmode", "gsslib", "krbsrvname"),
    *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"),
    *("load_balance_hosts", "passfile", "requirepeer", "requiressl", "service", "servicefile"),
    "target_session_attrs",
})  # fmt: skip
"""What says which server is meant, and how it is reached; the other parameters are of the session."""


def of_session(parameters: Mapping[str, str]) -> dict[str, str]:
    """Those parameters that are the same whichever way leads to the server."""
    return {
        name: each
        for name, each in parameters.items()
        if name not in _OF_THE_WAY and not name.startswith("ssl")
    }


def resolved(conninfo: str) -> str:
    """A connection string that says what libpq takes from a service file, the environment or its defaults.

    One that libpq can make nothing of stays as it is, and is refused where it is used.
    """
    connection = PGconn.connect_start(conninfo.encode())
    try:
        if connection.status == ConnStatus.BAD:
            return conninfo
        said = {
            each.keyword.decode(): each.val.decode()
            for each in connection.info
            if each.val and each.val != each.compiled
        }
        for name in ("service", "servicefile", "passfile"):
            said.pop(name, None)
        made = {"host": connection.host, "port": connection.port, "password": connection.password}
        return make_conninfo("", **{name: each.decode() for name, each in made.items() if each} | said)
    finally:
        connection.finish()


@dataclass(frozen=True)
class DatabaseUrl:
    """The parts of a database's URL.

    Attributes:
        user: the role; empty for the driver's own choice.
        password: empty for none.
        host: a name, an address, or the folder of a Unix socket.
        port: the TCP port, or the number in the socket's name.
        database: its name.
        options: everything else, `sslmode` included: some drivers ask for TLS unless they are told otherwise.
    """

    user: str
    password: str
    host: str
    port: str
    database: str
    options: Mapping[str, str]

    @classmethod
    def of(cls, conninfo: str) -> Self:
        """The parts of a connection string; without TLS unless it says otherwise."""
        parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
        address = parts.pop("hostaddr", "")
        return cls(
            user=parts.pop("user", ""),
            password=parts.pop("password", ""),
            host=parts.pop("host", "") or address or "127.0.0.1",
            port=parts.pop("port", "") or "5432",
            database=parts.pop("dbname", ""),
            options={**_NO_TLS, **parts},
        )

    def through(self, port: int) -> Self:
        """The same database and session through a proxy on loopback, which speaks no TLS."""
        return replace(
            self, host="127.0.0.1", port=str(port), options={**_NO_TLS, **of_session(self.options)}
        )

    def to(self, database: str) -> Self:
        """Another database of the same server."""
        return replace(self, database=database)

    def conninfo(self, *, host: str, port: str) -> str:
        """A connection string that leads elsewhere."""
        parts = {"user": self.user, "password": self.password, "dbname": self.database}
        given = {name: each for name, each in parts.items() if each}
        return make_conninfo("", host=host, port=port, **given, **self.options)

    def __str__(self) -> str:
        """The URL: ``postgresql://user:password@host:port/database?sslmode=disable``."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        credentials = f"{user}:{password}@" if password else f"{user}@" if user else ""
        address, options = f"{self.host}:{self.port}", dict(self.options)
        if self.host.startswith("/"):  # a socket's folder can only be an option
            address, options = "", {"host": self.host, "port": self.port, **options}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"postgresql://{credentials}{address}/{quote(self.database, safe='')}?{query}"
