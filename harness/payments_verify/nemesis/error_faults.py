"""Errors that the server raises: conflicts, time limits, and no room for another connection."""

from __future__ import annotations

from payments_verify.nemesis.database_faults import SESSIONS, count_of
from payments_verify.nemesis.error_triggers import RAISED, SQLSTATES
from payments_verify.nemesis.fault import Fault
from payments_verify.systems import SERVICE_LOGIN


class _Misfire(Fault):
    """Three in ten rows and commits fail."""

    side = "database"

    _before: int | None = None

    async def inject(self) -> None:
        """Arm the triggers."""
        async with self.deployment.cluster.connect() as connection:
            self._before = await count_of(connection, RAISED)
            await connection.execute(b"SELECT setval('nemesis.armed', %s)", [SQLSTATES.index(self.name) + 1])

    async def heal(self) -> None:
        """Disarm them, and see how often they struck."""
        async with self.deployment.cluster.connect() as connection:
            await connection.execute(b"SELECT setval('nemesis.armed', 0)")
            if self._before is not None:
                self.effects = await count_of(connection, RAISED) - self._before


class SerializationFailure(_Misfire):
    """As at SERIALIZABLE, or on a database that locks otherwise."""

    name = "40001"
    about = "the server raises serialization failures at writes and commits"


class Deadlock(_Misfire):
    """As when others lock in another order."""

    name = "40P01"
    about = "the server raises deadlocks at writes and commits"


class StatementTimeout(_Misfire):
    """As when a statement takes too long."""

    name = "57014"
    about = "the server raises query_canceled at writes and commits"


class TooManyConnections(Fault):
    """The server lets nobody in."""

    name = "53300"
    about = "the service's sessions are ended, and its login is refused with too_many_connections"
    side = "database"
    hold_s = (0.5, 3.0)

    async def inject(self) -> None:
        """Shut the door, and send those out who are in."""
        async with self.deployment.cluster.connect() as connection:
            await connection.execute(f"ALTER ROLE {SERVICE_LOGIN} CONNECTION LIMIT 0".encode())
            query = f"SELECT count(pg_terminate_backend(pid)) {SESSIONS}"
            self.effects = await count_of(connection, query, SERVICE_LOGIN)

    async def heal(self) -> None:
        """Open it."""
        async with self.deployment.cluster.connect() as connection:
            await connection.execute(f"ALTER ROLE {SERVICE_LOGIN} CONNECTION LIMIT -1".encode())
