"""Where a database is, as a service is told: one URL that drivers of every language read, or its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

_NO_TLS = {"sslmode": "disable"}


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
        """The same database through a proxy on loopback, which speaks no TLS."""
        return replace(self, host="127.0.0.1", port=str(port), options=_NO_TLS)

    def to(self, database: str) -> Self:
        """Another database of the same server."""
        return replace(self, database=database)

    def __str__(self) -> str:
        """The URL: ``postgresql://user:password@host:port/database?sslmode=disable``."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        credentials = f"{user}:{password}@" if password else f"{user}@" if user else ""
        address, options = f"{self.host}:{self.port}", dict(self.options)
        if self.host.startswith("/"):  # a socket's folder can only be an option
            address, options = "", {"host": self.host, "port": self.port, **options}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"postgresql://{credentials}{address}/{quote(self.database, safe='')}?{query}"
