"""Puts the parts together: settings to store to application, with its guards around it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from payments_core.application.ports import PaymentStore
from payments_core.entrypoints import metrics as prometheus
from payments_core.entrypoints import tokens
from payments_core.entrypoints.background import Background
from payments_core.entrypoints.http.access import is_open
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.authentication import Authenticated
from payments_core.entrypoints.http.guards import Guarded
from payments_core.entrypoints.http.limits import Admission, Deadline, HeadLimits
from payments_core.entrypoints.http.observed import QUIET, Observed, templates
from payments_core.entrypoints.http.problems import NOT_KEPT
from payments_core.entrypoints.http.resources import resource
from payments_core.entrypoints.http.sources import Sources, Unprotected
from payments_core.entrypoints.lifecycle import drained, draining, ended_with_parent
from payments_core.entrypoints.logs import configure_logs
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import Sweeper
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.contention import Contention
from payments_core.infrastructure.postgres.migrate import known
from payments_core.infrastructure.postgres.pool import NO_METRICS, Pool, Waits
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_core.infrastructure.postgres.rows import configure
from payments_core.infrastructure.postgres.session import Session
from payments_core.infrastructure.postgres.store import PostgresPaymentStore

# The pool doubles its waits for a database that is down, and would come late when it is back. Having given up
# after this long it tries again, at once, for the next request that finds no connection.
_RECONNECT_S = 1.0
# A server that takes a connection, and then says nothing more, would keep one of the pool's workers.
_PREPARE_S = 5.0

OBJECTS_BETWEEN_COLLECTIONS = 50_000


def session(settings: Settings) -> Session:
    """Make the settings of the service's database sessions."""
    return Session(
        settings.database_role,
        settings.statement_timeout_ms,
        settings.lock_timeout_ms,
        settings.idle_in_transaction_timeout_ms,
        settings.transaction_timeout_ms,
        settings.pooler_mode,
    )


def make_pool(settings: Settings, waits: Waits = NO_METRICS, size: int | None = None) -> Pool:
    """A pool of connections to ``settings.database_url``, not yet open; of ``size``, or as the settings say.

    Raises:
        ValueError: if the settings name no database.
        psycopg.ProgrammingError: if what they name is no connection string.
    """
    if settings.database_url is None:
        raise ValueError("no database: set DATABASE_URL")
    sessions = session(settings)

    async def prepare(connection: Connection) -> None:
        try:
            async with asyncio.timeout(_PREPARE_S):
                await configure(connection)
                await sessions.prepare(connection)
        except BaseException:
            connection.abandon()  # the pool would only forget it
            raise

    pool = Pool(
        settings.database_url,
        connection_class=Connection,
        min_size=size or min(settings.pool_min, settings.pool_max),
        max_size=size or settings.pool_max,
        timeout=settings.pool_timeout_s,
        reconnect_timeout=_RECONNECT_S,
        kwargs={
            "autocommit": True,
            "prepare_threshold": None,
            **sessions.connection_parameters(settings.database_url),
        },
        configure=prepare,
        open=False,
    )
    pool.waits = waits
    return pool


def postgres_store(
    pool: Pool, settings: Settings | None = None, waits: Waits = NO_METRICS, own: Pool | None = None
) -> PostgresPaymentStore:
    """The store over ``pool``, which needs every migration that this version ships.

    Args:
        pool: gives requests their connections.
        settings: of the service; the environment's, if not given.
        waits: told how long requests wait.
        own: gives the connection over which it is asked whether the database can be used.
    """
    settings = settings or Settings()
    begin = sql.BEGIN_SERIALIZABLE if settings.isolation == "serializable" else sql.BEGIN
    readiness = Readiness(own or pool, frozenset(known()))
    return PostgresPaymentStore(pool, readiness, contention(pool, settings), begin, waits)


def contention(pool: Pool, settings: Settings) -> Contention:
    """Requests that wait for held payments may have half of the connections, and be half of all requests.

    A request that waits without a connection has to have the time to wait for the lock afterwards.
    """
    time_left_s = settings.request_timeout_s - settings.lock_timeout_ms / 1000
    return Contention(
        connections=max(1, pool.max_size // 2),
        requests=max(1, settings.max_requests // 2),
        patience_s=min(settings.pool_timeout_s, time_left_s / 2),
    )


def postgres_app(
    settings: Settings, routes: Sequence[Route] = (), *, is_for_this_machine: bool = False
) -> ASGIApp:
    """The application over PostgreSQL, guarded; its pool opens with it and closes with it.

    Args:
        settings: of the service.
        routes: more routes; they come before health and pages.
        is_for_this_machine: whether no other machine and no other site's page is served, even with tokens.

    Raises:
        TokensError: if the tokens of the settings cannot be used.
    """
    metrics = Metrics()
    make = partial(_app, settings, metrics, routes, is_for_this_machine)
    return _traced(make, metrics) if settings.tracing else make(metrics)


def _traced(make: Callable[..., Observed], metrics: Metrics) -> ASGIApp:
    from payments_core.entrypoints import tracing  # noqa: PLC0415 - of an extra that may not be installed

    provider = tracing.provider()
    tracer = provider.get_tracer("payments_core")
    app = make(tracing.TracedWaits(metrics, tracer), provider.shutdown)
    return tracing.Traced(app, app.routes, tracer)


def _app(
    settings: Settings,
    metrics: Metrics,
    routes: Sequence[Route],
    is_for_this_machine: bool,
    waits: Waits,
    at_the_end: Callable[[], None] = lambda: None,
) -> Observed:
    pool, own = make_pool(settings, waits), make_pool(settings, size=1)
    store = postgres_store(pool, settings, waits, own)
    background = Background(metrics.background)

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(at_the_end)
            for name, each in (("pool", pool), ("readiness_pool", own)):
                await stack.enter_async_context(each)
                background.watch(name, each.tasks())
            if settings.sweep_interval_s:
                sweeper = _sweeper(store, settings, metrics)
                task = await stack.enter_async_context(sweeper.running())
                background.watch("sweeper", [task], sweeper.is_late)
            stack.callback(background.forget)
            stack.enter_context(drained(settings.drain_s))
            stack.enter_context(ended_with_parent())
            yield

    app = create_app(
        store,
        opened,
        draining,
        background.stopped,
        [*routes, exposition(metrics, background.stopped)],
        max_stored_refusals=settings.max_stored_refusals,
    )
    return guarded(app, settings, metrics, is_for_this_machine=is_for_this_machine)


def _sweeper(store: PaymentStore, settings: Settings, metrics: Metrics) -> Sweeper:
    return Sweeper(
        store,
        settings.sweep_interval_s,
        settings.sweep_batch,
        settings.request_timeout_s,
        metrics.expired,
        metrics.swept,
    )


def guarded(
    app: Starlette, settings: Settings, metrics: Metrics, *, is_for_this_machine: bool = False
) -> Observed:
    """The application behind its tokens and limits. From the outside in: what is cheapest to refuse first.

    Raises:
        TokensError: if the tokens of the settings cannot be used.
    """
    accepted = tokens.load(settings.tokens, settings.tokens_file)
    inner: ASGIApp = Deadline(app, settings.request_timeout_s, metrics.rejected)
    any_address = settings.allow_unauthenticated and not is_for_this_machine
    is_asked = bool(accepted) and not is_for_this_machine
    sources = Sources(None if is_asked else _unprotected(settings, any_address=any_address))
    inner = Guarded(inner, [HeadLimits(metrics.rejected), sources, Authenticated(accepted)])
    inner = Admission(inner, settings.max_requests, _needs_no_place, metrics.rejected)
    return Observed(inner, templates(app), metrics)


def _unprotected(settings: Settings, *, any_address: bool) -> Unprotected:
    listed = (settings.host, *settings.allowed_hosts.split(","))
    names = frozenset(name.strip().lower() for name in listed if name.strip())
    return Unprotected(names, is_open, any_address)


def _needs_no_place(path: str) -> bool:
    """Whether a path is served under any load: health, metrics, and pages that are the same for everybody."""
    return path in QUIET or is_open(path)


def exposition(metrics: Metrics, look: Callable[[], object] = lambda: None) -> Route:
    """The route at which Prometheus finds the metrics, which ``look`` completes each time."""

    async def get(_request: Request) -> Response:
        look()
        return Response(metrics.exposition(), headers=NOT_KEPT, media_type=prometheus.CONTENT_TYPE)

    return resource("/metrics", GET=get)


def app_from_environment(make_app: Callable[[Settings], ASGIApp] = postgres_app) -> ASGIApp:
    """Build the application and configure the logs from the environment; each worker process does so."""
    settings = Settings()
    configure_logs(settings.log_level)
    app = make_app(settings)
    # What is there by now stays: the garbage collector need not look at it again and again. A request leaves
    # hardly anything to collect that is not freed at once, so that it need not look for that often, either.
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    return app
