"""Folders of histories on the command line, and the cores that check them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app, side_by_side
from payments_verify.cli.side_by_side import each_in_order

HISTORIES = Path(__file__).parents[1] / "pgweave" / "histories"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two histories that are linearizable, one of them further down, and what is none."""
    (tmp_path / "more" / ".hidden").mkdir(parents=True)
    shutil.copy(HISTORIES / "kv-ok-two-keys.jsonl", tmp_path / "b.jsonl")
    shutil.copy(HISTORIES / "cas-register-ok-concurrent-writes.jsonl", tmp_path / "more" / "a.jsonl")
    shutil.copy(HISTORIES / "kv-bad-stale-get.jsonl", tmp_path / "more" / ".hidden" / "c.jsonl")
    (tmp_path / "README.md").write_text("no history")
    return tmp_path


@pytest.fixture
def on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "SHORT_S", -1.0)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)


def verdicts(result: Result) -> dict[str, str]:
    return {Path(one["file"]).name: one["verdict"] for one in msgspec.json.decode(result.stdout)}


def test_every_history_of_a_folder_is_checked(folder: Path) -> None:
    result = run(str(folder), "--json")
    assert result.exit_code == 0
    assert verdicts(result) == {"b.jsonl": "holds", "a.jsonl": "holds"}
    assert result.stderr == f"{folder}: no histories by their names, and not read: README.md\n"


def test_what_is_named_like_a_history_and_is_none_keeps_it_from_being_0(folder: Path) -> None:
    (folder / "notes.txt").write_text("no history")
    result = run(str(folder))
    assert result.exit_code == 2
    assert f"error: {folder / 'notes.txt'}: the content starts with b'no history'" in result.stderr
    shutil.copy(HISTORIES / "kv-bad-stale-get.jsonl", folder / "z.jsonl")
    result = run(str(folder))
    assert result.exit_code == 1
    assert f"{folder / 'z.jsonl'}: violated" in result.stdout


def test_a_folder_without_histories_has_no_verdict(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert result.exit_code == 2
    assert f"{tmp_path}: no history is found in it; their names end in .jsonl" in result.stderr


@pytest.mark.usefixtures("on_all_cores")
def test_all_cores_find_and_print_what_one_does(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(HISTORIES / "kv-bad-stale-get.jsonl", folder / "z.jsonl")
    page = tmp_path / "page.html"
    result = run(str(folder), "--html", str(page))
    assert result.exit_code == 1
    files = [line.split(": ")[0] for line in result.stdout.splitlines() if line.startswith(str(folder))]
    assert files == [str(folder / each) for each in ("b.jsonl", "more/a.jsonl", "z.jsonl")]
    assert 'get -> "1"  but kv answers "2"' in result.stdout
    assert "a longest linearizable prefix" in page.read_text()
    assert capfd.readouterr().err == ""


def process_of(thing: int) -> tuple[int, int]:
    time.sleep(0.05 * (3 - thing))
    return thing, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    found = list(each_in_order(process_of, range(4), lambda thing: thing == 1, cores=2))
    assert [thing for thing, _ in found] == [0, 1, 2, 3]
    assert os.getpid() not in {process for _, process in found}


def test_what_is_short_is_done_here() -> None:
    found = list(each_in_order(process_of, range(2), lambda _: False, cores=2))
    assert found == [(0, os.getpid()), (1, os.getpid())]


def kill_itself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_was_killed_is_told() -> None:
    with pytest.raises(OSError, match="was killed while it worked"):
        list(each_in_order(kill_itself, range(2), lambda _: True, cores=2))


def sleep_long(thing: int) -> int:
    time.sleep(600 if thing else 0)
    return thing


def test_nobody_is_waited_for_when_the_command_is_interrupted() -> None:
    began = time.monotonic()
    with closing(each_in_order(sleep_long, range(4), lambda _: True, cores=2)) as found:
        assert next(found) == 0
    assert time.monotonic() - began < 300
    assert multiprocessing.active_children() == []
