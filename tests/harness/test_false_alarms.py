"""Run after run on the service as it is: what counts, what goes on, and that an alarm is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from payments_verify.alarms import AlarmRun, Problem, read_runs, run_once, server_version
from payments_verify.cli import alarms, app
from payments_verify.sources import sources_hash
from payments_verify.suite import Effort
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.postgres import chosen_bin_dir

LITTLE = Effort(programs=40, rounds=2, scenarios=("create-twice",), soak_s=2, probes=5)
WINDOW_END_INSIDE = Edit("domain/capture.py", "now >= capture_expires_at", "now > capture_expires_at")
VIOLATED = Problem("stress", "violated", "two captures succeed")
NOT_RUN = Problem("faults", "no verdict", "nobody comes to rest")


def alarm_run(*problems: Problem, sources: str = "now", postgres: str = "18.1", seed: int = 1) -> AlarmRun:
    return AlarmRun(
        sources=sources,
        postgres=postgres,
        seed=seed,
        finished_at="2026-01-01T00:00:00+00:00",
        seconds=2.0,
        cases={"stress": 10, "faults": 5},
        problems=list(problems),
    )


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on two servers, with runs that come from a list, and all hold when that is at its end."""

    def call(*arguments: str, coming: list[AlarmRun] | None = None) -> Result:
        left = coming or []

        def once(*, sources: str, postgres: str, **_rest: Any) -> AlarmRun:
            run = left.pop(0) if left else alarm_run()
            return msgspec.structs.replace(run, sources=sources, postgres=postgres)

        versions = {Path("eighteen"): "18.1", Path("fifteen"): "15.1"}
        monkeypatch.setattr(alarms, "run_once", once)
        monkeypatch.setattr(alarms, "server_version", lambda folder: versions[folder])
        servers = [part for folder in versions for part in ("--postgres-bin", str(folder))]
        return CliRunner().invoke(app, ["false-alarms", *servers, "--output", str(tmp_path), *arguments])

    return call


def test_each_server_has_so_many_runs(command: Callable[..., Result], tmp_path: Path) -> None:
    done = command("--runs", "3", "--json")
    assert done.exit_code == 0, done.output
    assert sorted(run["postgres"] for run in json.loads(done.stdout)) == ["15.1"] * 3 + ["18.1"] * 3
    assert len(read_runs(tmp_path / "runs.jsonl", sources_hash())) == 6


def test_a_call_goes_on_where_the_last_one_ended(command: Callable[..., Result], tmp_path: Path) -> None:
    none = command("--runs", "2", "--minutes", "0")
    assert none.exit_code == 2
    assert "0 of 2" in none.stdout
    assert command("--runs", "1").exit_code == 0
    assert command("--runs", "2").exit_code == 0
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4


def test_runs_of_other_sources_do_not_count(command: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(msgspec.json.encode(alarm_run(VIOLATED, sources="before")) + b"\n")
    done = command("--runs", "1", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)) == 2
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 3


def test_an_alarm_ends_it_and_is_remembered(command: Callable[..., Result], tmp_path: Path) -> None:
    done = command("--runs", "5", coming=[alarm_run(), alarm_run(VIOLATED, seed=77)])
    assert done.exit_code == 1
    assert "seed 77: stress: violated\ntwo captures succeed" in done.stdout
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
    again = command("--runs", "5")
    assert again.exit_code == 1
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2


def test_what_could_not_run_is_no_success(command: Callable[..., Result]) -> None:
    done = command("--runs", "2", coming=[alarm_run(NOT_RUN)])
    assert done.exit_code == 2
    assert "nobody comes to rest" in done.stdout


def test_a_file_that_is_none_is_refused(command: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text("{}\n")
    done = command()
    assert done.exit_code == 2
    assert "has a line that is no run" in done.stderr


def test_another_line_of_code_is_other_sources(tmp_path: Path) -> None:
    run = alarm_run(sources=sources_hash())
    (tmp_path / "runs.jsonl").write_bytes(msgspec.json.encode(run) + b"\n")
    found = [
        run_harness(
            mutated_copy(tmp_path / f"copy{len(edits)}", edits),
            ["false-alarms", "--minutes", "0", "--json", "--output", str(tmp_path)],
        )
        for edits in ([], [WINDOW_END_INSIDE])
    ]
    assert [len(json.loads(each.stdout)) for each in found] == [1, 0]


@pytest.mark.long
def test_a_run_has_everything_that_has_chance_in_it(tmp_path: Path) -> None:
    run = run_once(
        sources="now",
        postgres=server_version(chosen_bin_dir()),
        bin_dir=chosen_bin_dir(),
        seed=1,
        effort=LITTLE,
        folder=tmp_path,
    )
    assert (run.verdict, run.problems) == ("holds", [])
    kinds = ("stateful machine", "every interleaving", "stress", "soak", "faults", "conformance, level 3")
    for kind in kinds:
        assert any(name.startswith(kind) and cases for name, cases in run.cases.items()), (kind, run.cases)
    assert not any("contracts" in name for name in run.cases)


@pytest.mark.long
def test_a_service_that_is_wrong_gives_an_alarm(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "mutant", [WINDOW_END_INSIDE])
    found = run_harness(
        copy, ["false-alarms", "--runs", "1", "--output", str(tmp_path / "found")], limit_s=600
    )
    assert found.returncode == 1, found.stderr
    assert "violated" in found.stdout
