"""The PostgreSQL server and the databases that tests use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TEST_BIN_VARIABLE = "PAYMENTS_TEST_POSTGRES_BIN"
PARTITIONED_VARIABLE = "PAYMENTS_TEST_PARTITIONED"
APPLICATION_ROLE = "payments_app"


@dataclass(frozen=True, slots=True)
class Database:
    """One database: its name, and connection URLs for its owner and for the application's role."""

    name: str
    dsn: str
    app_dsn: str


def chosen_bin_dir() -> Path | None:
    """The PostgreSQL that the environment chooses for tests, if any."""
    chosen = os.environ.get(TEST_BIN_VARIABLE)
    return Path(chosen) if chosen else None


def are_partitioned() -> bool:
    """Whether the environment asks for tables that are hash-partitioned by ``payment_id``."""
    return bool(os.environ.get(PARTITIONED_VARIABLE))


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A temporary folder that the server's account can pass through; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="payments-core-test-", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)
