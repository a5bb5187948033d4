"""The service behind the gate: every statement that it sends can be held; nothing else is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from payments_core.application.use_cases import ExpirePayments
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.logs import configure_logs
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.clock import DatabaseClock
from payments_verify.gate import Gate
from payments_verify.payments.http_binding import PaymentsClient
from payments_verify.payments.racing import Hands
from payments_verify.payments.system import GatedService
from payments_verify.scheduler import Monitor, Turns
from payments_verify.sql.catalog import Catalog
from payments_verify.sql.footprints import is_scheduling_point
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.database import prepared_database

EXPLORING = {"deadlock_timeout": "20ms"}
"""Settings of a server that is explored: a deadlock is an outcome, and need not be waited for long."""

_LOG_LEVEL = "error"
_CONNECTIONS = 8
"""As many as the largest scenario has processes, so that none waits for a connection."""


@asynccontextmanager
async def gated_in_process(dsn: str, *, ours: bool = True) -> AsyncIterator[GatedService]:
    """The application in this process, over a gate in front of ``dsn``, which has a clock that can be set.

    Args:
        dsn: the database.
        ours: whether its server is one that the harness has started on this machine.
    """
    configure_logs(_LOG_LEVEL)
    async with (
        Gate.open(dsn, is_scheduling_point) as gate,
        Monitor.connect(dsn) as monitor,
        DatabaseClock.connect(dsn) as clock,
        make_pool(
            Settings(database_url=gate.socket_dsn, pool_min=_CONNECTIONS, pool_max=_CONNECTIONS)
        ) as pool,
    ):
        await pool.wait()
        store = postgres_store(pool)
        expire = ExpirePayments(store)
        client = PaymentsClient(ApplicationClient(create_app(store)))
        hands = Hands(client, clock.set, lambda: expire(100), lambda: _session(gate))
        yield GatedService("in process", hands, gate, monitor, Catalog.load(dsn), Turns(ours=ours))


@asynccontextmanager
async def gated_service(bin_dir: Path | None = None) -> AsyncIterator[GatedService]:
    """The application behind a gate, with a database of its own on a server of its own.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with prepared_database(bin_dir, EXPLORING) as dsn:
        async with gated_in_process(dsn) as service:
            yield service


async def _session(gate: Gate) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(gate.socket_dsn, autocommit=True)
