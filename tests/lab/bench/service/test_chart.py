"""The figure and the tables: what they show, and that a busy machine is told of."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from rich.console import Console

from lab.bench import bench_service, figure
from lab.bench.service.chart import bars, chart, dots, parts
from lab.bench.service.report import busy, show
from lab.bench.service.results import CONTESTANTS, ONE, OTHER_ONE, PGBENCH, Results
from tests.lab.bench.service.test_results import results, run

RUNS = [run(ONE, 1_000), run(ONE, 3_000), run(ONE, 2_000), run(PGBENCH, 5_000, server_us=0)]


def test_a_bar_is_a_median_and_a_dot_a_round() -> None:
    assert [(bar["name"], bar["value"], bar["said"]) for bar in bars(RUNS)] == [
        (PGBENCH, 5_000, "5,000"),
        (ONE, 2_000, "2,000"),
    ]
    assert [dot["value"] for dot in dots(RUNS)] == [1_000, 3_000, 2_000, 5_000]


def test_who_has_no_server_has_no_time_of_one() -> None:
    assert [(part["name"], part["part"]) for part in parts(RUNS)] == [
        (PGBENCH, "PostgreSQL"),
        (ONE, "server"),
        (ONE, "PostgreSQL"),
    ]


def test_every_colour_of_the_figure_has_one_for_dark() -> None:
    used = set(re.findall(r"#[0-9a-f]{6}", json.dumps(chart([run(name, 1) for name in CONTESTANTS]))))
    assert used <= set(figure.DARK)


def shown(found: Results) -> str:
    console = Console(width=130, file=StringIO())
    with console.capture() as capture:
        show(found, console)
    return capture.get()


def test_the_tables_say_what_was_reached_and_what_was_missed() -> None:
    found = results()
    text = shown(found)
    assert (text.count("reached"), text.count("missed")) == (8, 0)  # one is the table's title
    found.runs = [run(ONE, 349, server_us=351), run(PGBENCH, 1_000), run(OTHER_ONE, 350)]
    text = shown(found)
    assert re.search(r"CPU of the server for a capture\s+351.0 µs\s+at most 350 µs\s+missed", text)
    assert re.search(r"throughput, of pgbench's\s+34.9 %\s+at least 35 %\s+missed", text)


def test_others_on_the_machine_are_told_of() -> None:
    assert busy(Results(runs=[run(ONE, 1, others=0.1)])) is None
    said = busy(Results(runs=[run(ONE, 1, others=0.1), run(ONE, 1, others=0.35)]))
    assert said is not None
    assert "1 of 2 runs (up to 35%)" in said


# ---- the command --------------------------------------------------------------------------------


def command(tmp_path: Path, **options: Any) -> int:
    given: dict[str, Any] = {"quick": False, "rounds": None, "part": None, "read": None}
    places = {"json": tmp_path / "a.json", "figure": tmp_path / "a.svg"}
    try:
        bench_service.main(**{**given, **places, **options})
    except typer.Exit as ended:
        return ended.exit_code
    return 0


@pytest.fixture
def no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "RENDERER", "no_such_renderer")


@pytest.mark.usefixtures("no_figure")
def test_it_ends_with_1_where_an_aim_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(msgspec.json.encode(results()))
    assert command(tmp_path, read=file) == 0
    found = results()
    found.runs[0] = run(ONE, 350, server_us=351)
    file.write_bytes(msgspec.json.encode(found))
    assert command(tmp_path, read=file) == 1
    assert "missed" in capsys.readouterr().out


@pytest.mark.parametrize("part", [["no-such"], ["half"]])
def test_it_ends_with_2_for_parts_that_are_none(
    tmp_path: Path, part: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, part=part) == 2
    assert "the parts are" in capsys.readouterr().err


def test_it_ends_with_2_without_the_load_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.bench.service.load.PROGRAM", "no-such-load-generator")
    assert command(tmp_path) == 2
    assert "apt-get install wrk" in capsys.readouterr().err


def test_it_ends_with_2_without_the_other_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_service, "find_wrk", lambda: "wrk")
    monkeypatch.setattr(bench_service, "_NEEDED", ("no_such_package",))
    assert command(tmp_path) == 2
    assert "make bench-service" in capsys.readouterr().err
