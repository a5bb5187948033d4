"""The race that both tools explore: wrong without a lock, and right with one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer

from lab.bench import bench_frontrun
from lab.bench.frontrun_race import both_are_booked, setup, transfers
from pgweave import explore
from tests.support.postgres import Database


@pytest.mark.parametrize(("lock", "verdict", "schedules"), [("", "violated", 2), (" FOR UPDATE", "holds", 6)])
def test_the_race(empty_database: Database, lock: str, verdict: str, schedules: int) -> None:
    result = explore(empty_database.dsn, setup=setup, clients=transfers(lock), check=both_are_booked)
    assert (result.verdict, result.schedules) == (verdict, schedules)


def test_without_frontrun_it_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(typer.Exit) as ended:
        bench_frontrun.main(seconds=1)
    assert ended.value.exit_code == 2
    assert "frontrun is not installed: make bench-frontrun does both" in capsys.readouterr().err
