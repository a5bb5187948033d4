"""Whether a commit is where it has to be, on a server with synchronous standbys."""

from __future__ import annotations

from psycopg import OperationalError

from payments_core.infrastructure.postgres.connection import Connection


class NotReplicated(OperationalError):
    """The commit is on this server, and perhaps on no other: it may be lost with it, or not."""


class Replicated:
    """Sees that what its block commits was not given up while it waited for synchronous standbys.

    Where somebody cancels that wait, PostgreSQL answers with success, and warns. Nothing else here does.

    Raises:
        NotReplicated: if it warned.
    """

    __slots__ = ("_warnings",)

    def __init__(self, connection: Connection) -> None:
        self._warnings = connection.warnings

    def __enter__(self) -> None:
        self._warnings.clear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._warnings and kind is None:
            raise NotReplicated(f"the database warned at a commit: {self._warnings[0]}")
