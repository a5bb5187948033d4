"""The service behind the gate: every statement that it sends can be held; nothing else is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from payments_core.application.ports import PaymentStore
from payments_core.entrypoints.settings import Settings
from payments_verify.binding import BoundClient, own_client
from payments_verify.patience import patient
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.service.row_holders import SqlRowHolder
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.surface import FirstAnswers
from payments_verify.systems.application import witnessed
from payments_verify.systems.copies import wiring_of
from payments_verify.systems.database import (
    CLOCK_FUNCTION,
    new_database,
    on_new_database,
    prepared_database,
)
from payments_verify.systems.in_process import expire_batch
from payments_verify.systems.logs import only_errors_logged
from payments_verify.systems.one_core import on_one_core
from payments_verify.systems.whole.checks import whole_checks
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate
from pgweave.scheduler import GatedDatabase, Monitor, Turns
from pgweave.service.command import running_command
from pgweave.service.http_client import http_client
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

EXPLORING = {"deadlock_timeout": "50ms"}
"""Settings of a server that is explored: a deadlock is an outcome, and need not be waited for long."""

IN_PROCESS = "in process"
OWN_SWEEPER = "in process, its own sweeper"
"""The names of the service: swept by a request of the harness, or by the task that no request asks for."""

_REQUEST_LIMIT_S = 60.0
_CONNECTIONS = 16
"""Twice as many as the largest scenario has processes: half of them may be used for one payment at once."""
_PROMISES = replace(EVERYTHING, retries_conflicts=True, waiting=Settings().max_requests // 2)
"""What the application promises, and not every service that speaks as it does."""
_RACED = 2
"""Instances for races that are drawn: each sees what the other leaves."""


@asynccontextmanager
async def gated(
    dsn: str,
    command: str | None = None,
    *,
    ours: bool = True,
    one_core: bool = True,
    instances: int = 1,
    sweep: Callable[[PaymentStore], Coroutine[Any, Any, int]] = expire_batch,
) -> AsyncIterator[ServiceUnderTest]:
    """A service over a gate in front of ``dsn``, which has a clock that can be set.

    Args:
        dsn: the database.
        command: the shell command that starts the service, see `running_command`; ``None`` for the
            application in this process.
        ours: whether the database's server is one that the harness has started on this machine.
        one_core: whether schedules are run here, one after the other: then all that takes turns is kept on
            one core, which is faster. Not where others run them and this process hands them out.
        instances: how many of the application there are in this process, with pools and modules of their own.
        sweep: how a sweep is run.

    Raises:
        CommandError: the command did not come to serve.
    """
    with only_errors_logged():
        async with (
            Gate.open(dsn, is_scheduling_point) as gate,
            Monitor.connect(dsn, ours=ours) as monitor,
            _kept_together(monitor, ours and one_core),
            DatabaseClock.connect(dsn) as clock,
            _served(gate, command, instances) as (store, clients),
        ):
            yield ServiceUnderTest(
                command or (IN_PROCESS if sweep is expire_batch else OWN_SWEEPER),
                clients,
                clock.set,
                partial(sweep, store),
                partial(SqlRowHolder.connect, gate.socket_dsn),
                GatedDatabase(gate, monitor, read_catalog(dsn, CLOCK_FUNCTION), Turns(ours=ours)),
                traits=_PROMISES if command is None else EVERYTHING,
                whole_checks=whole_checks(dsn) if command is None and ours else {},
            )


@asynccontextmanager
async def gated_on_new_database(
    dsn: str, audit: Callable[[str], str | None] | None = None
) -> AsyncIterator[ServiceUnderTest]:
    """The application twice in this process over a gate, on a database that nobody has used.

    Args:
        dsn: another database of the same server, which the harness has started.
        audit: what is wrong with what a database holds, if anything is.
    """
    async with on_new_database(dsn, partial(gated, instances=_RACED), audit) as service:
        yield service


@asynccontextmanager
async def gated_side_by_side(dsn: str, instances: int = 1) -> AsyncIterator[ServiceUnderTest]:
    """The application in this process behind a gate, and again beside it, with databases of their own.

    While the server works for a schedule of one, this process is at work for a schedule of the other: so they
    are not kept on one core.

    Args:
        dsn: the database of the first, of a server that the harness has started.
        instances: how many instances each has.
    """
    opened = partial(gated, one_core=False, instances=instances)
    with new_database(dsn) as other:
        async with opened(dsn) as service, opened(other) as beside:
            yield replace(service, beside=(beside,))


@asynccontextmanager
async def _kept_together(monitor: Monitor, wanted: bool) -> AsyncIterator[None]:
    with on_one_core([monitor.pid]) if wanted else nullcontext():
        yield


@asynccontextmanager
async def _store(gate: Gate, connections: int, instance: int = 0) -> AsyncIterator[PaymentStore]:
    """The store of an instance, over connections through the gate, all of them open."""
    wiring = wiring_of(instance)
    settings = wiring.Settings(database_url=gate.socket_dsn, pool_min=connections, pool_max=connections)
    async with wiring.make_pool(settings) as pool:
        await pool.wait()
        yield wiring.postgres_store(pool)


@asynccontextmanager
async def _served(
    gate: Gate, command: str | None, instances: int
) -> AsyncIterator[tuple[PaymentStore, tuple[BoundClient, ...]]]:
    """The store by which sweeps are run, and a client of each instance."""
    if command is None:
        async with AsyncExitStack() as stack:
            opening = (_store(gate, _CONNECTIONS, instance) for instance in range(instances))
            stores = [await stack.enter_async_context(each) for each in opening]
            first: FirstAnswers = {}
            made = (witnessed(each, first=first, instance=number) for number, each in enumerate(stores))
            yield stores[0], tuple(map(own_client, made))
        return
    async with (
        _store(gate, 2) as store,
        running_command(command, {"DATABASE_URL": gate.tcp_dsn}) as running,
        http_client(running.url, limit_s=patient(_REQUEST_LIMIT_S), connections_kept=20) as http,
    ):
        yield store, (own_client(http),)


@asynccontextmanager
async def gated_service(bin_dir: Path | None = None) -> AsyncIterator[ServiceUnderTest]:
    """The application twice behind a gate, with a database of its own on a server of its own.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with prepared_database(bin_dir, EXPLORING) as dsn:
        async with gated(dsn, instances=_RACED) as service:
            yield service
