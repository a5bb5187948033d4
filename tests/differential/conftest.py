"""The database that services are explored on, and what they leave behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_core.infrastructure.postgres.connection import Connection


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    """Migrated, with a clock that can be set; the module's own."""
    return exploring_dsn


@pytest.fixture
def left() -> Iterator[list[Connection]]:
    """Connections that a broken service leaves open; they are closed at the end of the test."""
    connections: list[Connection] = []
    yield connections
    for each in connections:
        each.pgconn.finish()
