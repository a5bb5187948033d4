"""Puts the parts together: settings to store to application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette

from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.logs import configure_logs
from payments_core.entrypoints.settings import Settings
from payments_core.infrastructure.postgres.migrate import known
from payments_core.infrastructure.postgres.rows import Row, configure
from payments_core.infrastructure.postgres.store import Pool, PostgresPaymentStore, reset


def make_pool(settings: Settings) -> Pool:
    """A pool of connections to ``settings.database_url``, not yet open.

    Raises:
        ValueError: if the settings name no database.
    """
    if settings.database_url is None:
        raise ValueError("no database: set DATABASE_URL")
    return AsyncConnectionPool(
        settings.database_url,
        connection_class=psycopg.AsyncConnection[Row],
        min_size=min(settings.pool_min, settings.pool_max),
        max_size=settings.pool_max,
        timeout=settings.pool_timeout_s,
        kwargs={"autocommit": True, "application_name": "payments-core"},
        configure=configure,
        reset=reset,
        open=False,
    )


def postgres_store(pool: Pool) -> PostgresPaymentStore:
    """The store over ``pool``, which needs every migration that this version ships."""
    return PostgresPaymentStore(pool, frozenset(known()))


def postgres_app(settings: Settings) -> Starlette:
    """The application over PostgreSQL; its pool opens with it and closes with it."""
    pool = make_pool(settings)

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        async with pool:
            yield

    return create_app(postgres_store(pool), opened)


def app_from_environment() -> Starlette:
    """The application as the environment says; what each worker process builds for itself, logs included."""
    settings = Settings()
    configure_logs(settings.log_level)
    return postgres_app(settings)
