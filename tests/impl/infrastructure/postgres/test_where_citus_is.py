"""Where tests find Citus, and that a run without it is not green."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from tests.support.citus import DSN_VARIABLE, citus_cluster, citus_database, require_citus
from tests.support.pytest_runs import environment

_WITHOUT_CITUS = """
from pathlib import Path
import pytest

class Hidden:
    def pytest_sessionstart(self):
        import tests.support.citus
        tests.support.citus.INSTALLED = Path("/nowhere")

raise SystemExit(pytest.main(["-m", "citus", "tests/impl/infrastructure/postgres/test_citus.py"], [Hidden()]))
"""


def test_a_run_without_citus_says_so_by_name_and_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (DSN_VARIABLE, "PAYMENTS_TEST_POSTGRES_BIN"):
        monkeypatch.delenv(variable, raising=False)
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_CITUS], capture_output=True, text=True, check=False, env=environment()
    )
    assert ended.returncode == 2, ended.stdout
    assert "Citus, the extension that distributes PostgreSQL, is not installed" in ended.stdout
    assert DSN_VARIABLE in ended.stdout


@pytest.mark.long
@pytest.mark.citus
def test_a_given_cluster_gets_a_database_on_each_node_for_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    require_citus()
    with citus_cluster() as own:
        monkeypatch.setenv(DSN_VARIABLE, own.dsn)
        with citus_database() as made:
            assert made.worker_ports == own.worker_ports
            for dsn in (made.dsn, *made.worker_dsns):
                assert _databases(dsn) == 1
        for dsn in (own.dsn, *own.worker_dsns):
            assert _databases(dsn) == 0


def _databases(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname ~ '^conformance_'"
        ).fetchone()
    assert row is not None
    found: int = row[0]
    return found
