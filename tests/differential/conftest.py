"""The database that services are explored on."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def dsn(exploring_dsn: str) -> str:
    """Migrated, with a clock that can be set; the module's own."""
    return exploring_dsn
