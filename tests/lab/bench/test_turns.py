"""Two versions are measured by turns: by what their own programs do, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lab.bench import bench_earlier, turns
from lab.bench.turns import Compared, EarlierError, Job, Measured, Ran, compare, run

_COUNT = Measured("lines", "lines", lambda ran: float(len(ran.written.splitlines())), "somebody else's")


def _version(folder: Path, script: str) -> Path:
    program = folder / ".venv/bin/program"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def test_each_version_runs_its_own_program_in_its_own_folder_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = _version(tmp_path / "earlier", f'pwd >> {tmp_path}/turns; printf "1\\n2\\n3\\n" > "$1"')
    monkeypatch.setattr(turns, "ROOT", _version(tmp_path / "now", f"pwd >> {tmp_path}/turns; echo 1 > $1"))
    compared = Compared()
    job = Job(("program", turns.JSON), (_COUNT,))
    told = list(
        compare(earlier, [job], 3, lambda figures: figures.setdefault("others", []).append(1), compared)
    )
    assert (compared.earlier, compared.now) == ({"lines": [3, 3, 3]}, {"lines": [1, 1, 1]})
    assert compared.others == {"others": [1, 1, 1]}
    order = [Path(line).name for line in (tmp_path / "turns").read_text().split()]
    assert order == ["now", "earlier", "earlier", "now", "now", "earlier"]
    assert told[0] == "round 1 of 3, now: program JSON"


def test_what_a_command_cost_is_its_own(tmp_path: Path) -> None:
    busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    worked = run(_version(tmp_path / "busy", busy), ("program",), (0,))
    waited = run(_version(tmp_path / "idle", "sleep 0.2"), ("program",), (0,))
    assert worked.processor > 3 * waited.processor
    assert waited.elapsed >= 0.2 > waited.processor


@pytest.mark.parametrize(
    ("script", "message"),
    [("echo no server >&2; exit 3", r"program ended with 3:\nno server"), ("kill -9 $$", "ended with -9")],
)
def test_a_version_that_cannot_be_measured_says_why(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EarlierError, match=message):
        run(_version(tmp_path / "broken", script), ("program",), (0, 1))


def test_the_table_has_medians_ratios_and_what_others_take() -> None:
    compared = Compared({"lines": [9, 6, 1]}, {"lines": [3, 100, 2]}, {"somebody else's": [1.5]})
    console = Console(width=150, record=True)
    console.print(bench_earlier.table_of([Job(("program",), (_COUNT,))], compared))
    row = console.export_text().splitlines()[-1].split()
    assert row == ["lines", "lines", "6", "3", "2.00", "somebody", "else's:", "1.5", "2.00"]


def test_a_folder_that_is_no_version_is_refused(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench_earlier.main)
    result = CliRunner().invoke(app, [str(tmp_path), "--part", "start", "--json", str(tmp_path / "x.json")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"run make sync in {tmp_path}" in result.stderr.replace("\n", "")


def test_a_pace_is_the_median_of_its_rounds() -> None:
    paces = b'{"paces": [%s, {"name": "other", "schedules": 1, "seconds": 9}]}' % b", ".join(
        b'{"name": "one", "schedules": 10, "seconds": %s}' % seconds for seconds in (b"0.1", b"0.2", b"5")
    )
    assert bench_earlier.schedule_ms("one")(Ran(0, 0, paces)) == 20
