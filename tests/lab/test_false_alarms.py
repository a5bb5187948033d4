"""Run after run on the service as it is: what counts, what goes on, and that an alarm is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from lab.alarms import AlarmRun, FailedCheck, read_runs, run_once, run_peer, server_version
from lab.cli import app
from lab.cli import false_alarms as alarms
from lab.peers import Peer, peers_in
from payments_verify.result import Progress, no_progress
from payments_verify.sources import folder_hash, sources_hash
from payments_verify.suite import Effort
from tests.docs.pages import ROOT
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.postgres import chosen_bin_dir

CHARGES = ROOT / "examples" / "peers" / "charges"
LITTLE = Effort(programs=40, rounds=2, scenarios=("create-twice",), soak_s=2, probes=5)
WINDOW_END_INSIDE = Edit("domain/capture.py", "now >= capture_expires_at", "now > capture_expires_at")
VIOLATED = FailedCheck("stress", "violated", "two captures succeed")
NOT_RUN = FailedCheck("faults", "no verdict", "nobody comes to rest")


def alarm_run(
    *problems: FailedCheck,
    sources: str = "now",
    postgres: str = "18.1",
    seed: int = 1,
    subject: str = "this service",
) -> AlarmRun:
    return AlarmRun(
        sources=sources,
        subject=subject,
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
    assert len(read_runs(tmp_path / "runs.jsonl", sources_hash("lab"))) == 6


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


def test_progress_counts_the_runs_that_are_wanted(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = alarm_run(sources=sources_hash("lab"), subject="charges")
    (tmp_path / "runs.jsonl").write_bytes(msgspec.json.encode(other) + b"\n")
    titles: list[str] = []

    @contextmanager
    def told(title: str) -> Iterator[Progress]:
        titles.append(title)
        yield no_progress

    monkeypatch.setattr(alarms, "progress_bar", told)
    assert command("--runs", "1").exit_code == 0
    assert titles == ["run 1 of 2", "run 2 of 2"]


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


ONE = """
stack = "Other"
command = "exec {python} {folder}/app.py"
needs = ["sh"%s]

[[right]]
name = "locked"
environment = { LOCKED = "1 2" }
level = 3
"""


def peer_folder(folder: Path, needs: str = "", content: str = ONE) -> Path:
    place = folder / "peers" / "other"
    place.mkdir(parents=True)
    (place / "peer.toml").write_text(content % needs if "%s" in content else content)
    (place / "binding.toml").write_text((CHARGES / "binding.toml").read_text())
    return folder / "peers"


def test_a_peer_is_a_subject_of_its_own(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Peer] = []

    def once(peer: Peer, *, sources: str, postgres: str, **_rest: Any) -> AlarmRun:
        asked.append(peer)
        return alarm_run(NOT_RUN, sources=sources, postgres=postgres, subject=peer.name)

    monkeypatch.setattr(alarms, "run_peer", once)
    folder = peer_folder(tmp_path)
    done = command("--runs", "1", "--peers", str(folder))
    assert done.exit_code == 2  # a peer without a verdict counts
    assert [peer.command.partition("; ")[0] for peer in asked] == ["export 'LOCKED=1 2'"] * 2
    assert "other: locked, PostgreSQL 18.1, seed 1: faults: no verdict\nnobody comes to rest" in done.stdout
    runs = read_runs(tmp_path / "runs.jsonl", f"{sources_hash('lab')}, peers {folder_hash(folder)}")
    assert sorted(run.subject for run in runs) == ["other: locked"] * 2 + ["this service"] * 2
    only = command("--runs", "2", "--peers", str(folder), "--only", "this", "--json")
    assert only.exit_code == 0
    assert command("--only", "nobody").exit_code == 2


def test_a_peer_whose_tool_is_missing_is_named(command: Callable[..., Result], tmp_path: Path) -> None:
    folder = peer_folder(tmp_path, ', "no-such-program-at-all"')
    done = command("--runs", "1", "--peers", str(folder))
    assert done.exit_code == 0
    assert "left out: other: locked: no-such-program-at-all is not there" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("command = 1", "peer.toml: Expected `str`, got `int`"),
        (ONE.replace("level = 3", "levle = 3"), "peer.toml: Object .* unknown field `levle`|required field"),
        (ONE.replace("{folder}", "{here}"), "peer.toml: 'here'"),
        ("command = ", "peer.toml: Invalid value"),
    ],
)
def test_a_peers_file_that_is_wrong_is_refused(
    content: str, said: str, command: Callable[..., Result], tmp_path: Path
) -> None:
    done = command("--peers", str(peer_folder(tmp_path, content=content.replace("%s", ""))))
    assert done.exit_code == 2
    assert re.search(said, done.stderr), done.stderr


def test_a_folder_without_peers_is_refused(command: Callable[..., Result], tmp_path: Path) -> None:
    assert "has no folder with a peer.toml" in command("--peers", str(tmp_path)).stderr


def test_every_peer_of_this_repository_is_one_of_these() -> None:
    found = peers_in(CHARGES.parent)
    files = CHARGES.parent.glob("*/peer.toml")
    folders = {each.parent.name for each in files if "right = []" not in each.read_text()}
    assert {peer.name.partition(":")[0] for peer in found} == folders
    assert max(peer.level for peer in found) == 5


def test_a_peer_is_examined_up_to_its_level(tmp_path: Path) -> None:
    (peer,) = [each for each in peers_in(CHARGES.parent) if each.name == "charges: advisory lock"]
    run = run_peer(
        replace(peer, level=1),
        sources="now",
        postgres="here",
        bin_dir=chosen_bin_dir(),
        seed=1,
        folder=tmp_path,
    )
    assert (run.verdict, run.problems, list(run.cases)) == ("holds", [], ["level 1"])
    assert 0 < run.parts["level 1"] < run.seconds
    broken = run_peer(
        replace(peer, level=2, command="exit 3"),
        sources="now",
        postgres="here",
        bin_dir=chosen_bin_dir(),
        seed=1,
        folder=tmp_path,
    )
    assert broken.verdict == "no verdict"


def test_another_line_of_code_is_other_sources(tmp_path: Path) -> None:
    run = alarm_run(sources=sources_hash("lab"))
    (tmp_path / "runs.jsonl").write_bytes(msgspec.json.encode(run) + b"\n")
    found = [
        run_harness(
            mutated_copy(tmp_path / f"copy{len(edits)}", edits),
            ["false-alarms", "--minutes", "0", "--json", "--output", str(tmp_path)],
            program="lab",
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
        copy, ["false-alarms", "--runs", "1", "--output", str(tmp_path / "found")], limit_s=600, program="lab"
    )
    assert found.returncode == 1, found.stderr
    assert "violated" in found.stdout
