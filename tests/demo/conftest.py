"""Asynchronous tests run in asyncio."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """As psycopg and uvicorn do."""
    return "asyncio"
