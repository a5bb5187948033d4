"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
import structlog

from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from pgweave.embedded import EmbeddedPostgres, temporary_postgres
from tests.support.partitioned import migrate_partitioned
from tests.support.postgres import (
    APPLICATION_ROLE,
    Database,
    are_partitioned,
    chosen_bin_dir,
    reachable_folder,
)

_TEMPLATE = "migrated"
_numbers = count(1)


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start: what a shell has put in the background ignores it.

    An example may take its time: how long is a matter of the machine, and no test is about it.
    """
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that take minutes have hours before they count as hung."""
    for item in items:
        if item.get_closest_marker("long") or item.get_closest_marker("peers"):
            item.add_marker(pytest.mark.timeout(4 * 3600))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which everything was skipped is not green: nothing is known."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and "skipped" in reporter.stats:
        ran = {"passed", "failed", "error", "xfailed", "xpassed"} & reporter.stats.keys()
        if not ran and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.INTERRUPTED


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run in asyncio, as psycopg, uvicorn and the clients do."""
    return "asyncio"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What a test configures of the logs does not reach the next one."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A running server, one per test process."""
    with temporary_postgres(bin_dir=chosen_bin_dir()) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated database that others are copied from; nobody may stay connected to it."""
    dsn = postgres_server.create_database(_TEMPLATE)
    if are_partitioned():
        migrate_partitioned(dsn, tmp_path_factory.mktemp("partitioned"))
    else:
        migrate(dsn)
    return _TEMPLATE


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A freshly migrated database, dropped after the test with whatever is still connected to it."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture(scope="module")
def shared_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """One migrated database for the tests of a module that each keep to payments of their own."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Iterator[Database]:
    """A database without a schema, dropped after the test."""
    yield from _database(postgres_server, None)


@pytest.fixture(scope="session")
def exploring_server() -> Iterator[str]:
    """A database of a server that is explored, one per test process."""
    with prepared_database(chosen_bin_dir(), EXPLORING) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def exploring_dsn(exploring_server: str) -> Iterator[str]:
    """A migrated database of that server, with a clock that can be set, for the tests of a module."""
    with new_database(exploring_server) as dsn:
        yield dsn


@pytest.fixture
def reachable_path() -> Iterator[Path]:
    """A temporary folder that the server's account can reach."""
    with reachable_folder() as path:
        yield path


def _database(server: EmbeddedPostgres, template: str | None) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    dsn = server.create_database(name, template=template)
    try:
        yield Database(name, dsn, server.dsn(name, role=APPLICATION_ROLE))
    finally:
        server.drop_database(name)
