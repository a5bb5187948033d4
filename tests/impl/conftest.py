"""Fixtures for the tests of the implementation: its two stores."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pgweave import clock
from tests.support.api import Api, api_over
from tests.support.postgres import Database
from tests.support.stores import Kit, PostgresKit, memory_kit, postgres_kit


@pytest.fixture(scope="module")
def clocked_database(shared_database: Database) -> Database:
    """The module's database, with a clock that can be set."""
    clock.install(shared_database.dsn, "payment_clock")
    return shared_database


@pytest.fixture
async def memory() -> AsyncIterator[Kit]:
    """The in-memory store, empty."""
    async with memory_kit() as kit:
        yield kit


@pytest.fixture
async def postgres(clocked_database: Database) -> AsyncIterator[PostgresKit]:
    """The PostgreSQL store, empty."""
    async with postgres_kit(clocked_database) as kit:
        yield kit


@pytest.fixture(params=["memory", "PostgreSQL"])
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    """Each store in turn: what holds for one holds for the other."""
    if request.param == "memory":
        async with memory_kit() as made:
            yield made
    else:
        async with postgres_kit(request.getfixturevalue("clocked_database")) as made:
            yield made


@pytest.fixture
async def api(memory: Kit) -> AsyncIterator[Api]:
    """The HTTP application over the in-memory store."""
    async with api_over(memory) as made:
        yield made


@pytest.fixture
async def postgres_api(postgres: Kit) -> AsyncIterator[Api]:
    """The HTTP application over the PostgreSQL store."""
    async with api_over(postgres) as made:
        yield made
