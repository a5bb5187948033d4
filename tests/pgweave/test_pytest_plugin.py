"""The fixture `pgweave` in the suite of somebody else."""

from __future__ import annotations

from pathlib import Path

from tests.pgweave.test_cli import RACE
from tests.support.postgres import Database
from tests.support.pytest_runs import run_pytest

SUITE = """
from races import naive, locking


def test_right(pgweave):
    pgweave.explore(**locking).assert_holds()


def test_wrong(pgweave):
    pgweave.explore(**naive()).assert_holds()


def test_again(pgweave):
    pgweave.explore(**naive())
    assert pgweave.replay(**naive()).problem.startswith("a booking was lost")
"""


def test_a_failure_shows_the_schedule_and_names_its_file(empty_database: Database, tmp_path: Path) -> None:
    (tmp_path / "races.py").write_text(RACE)
    (tmp_path / "test_races.py").write_text(SUITE)
    done = run_pytest("-q", "--rootdir", tmp_path, "--pgweave-server", empty_database.dsn, cwd=tmp_path)
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "violated in schedule 2: a booking was lost" in done.stdout
    assert "UPDATE seats: 1 row" in done.stdout
    assert f"the schedule is in {tmp_path}/.pgweave/test_races.py-test_wrong.json" in done.stdout
    assert (tmp_path / ".pgweave" / "test_races.py-test_wrong.json").exists()
