"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from tests.pgweave.small_specs import OURS
from tests.support.peer_histories import needs_peers, peer_verdicts

HISTORIES = Path(__file__).parents[1] / "pgweave" / "histories"
GOOD = str(HISTORIES / "kv-ok-two-keys.jsonl")
BAD = str(HISTORIES / "kv-bad-stale-get.jsonl")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments])


@pytest.fixture
def garbage(tmp_path: Path) -> str:
    path = tmp_path / "garbage"
    path.write_bytes(b'{"type": \xff')
    return str(path)


@pytest.fixture
def hard(tmp_path: Path) -> str:
    """A history whose refutation would take for ever."""
    events = [
        f'{{"type": "{kind}", "process": {process}, "f": "write", "value": {process}}}'
        for kind in ("invoke", "ok")
        for process in range(40)
    ]
    events += [
        f'{{"type": "{kind}", "process": 0, "f": "read", "value": {value}}}'
        for kind, value in (("invoke", "null"), ("ok", "99"))
    ]
    path = tmp_path / "hard.jsonl"
    path.write_text("\n".join(events))
    return str(path)


def test_good_histories_end_with_0() -> None:
    good = [str(path) for path in OURS if "-ok-" in path.name]
    result = run(*good)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split(": holds (")[0] for line in lines] == good
    assert all(line.endswith(" s)") for line in lines)


def test_a_bad_history_ends_with_1_and_is_explained() -> None:
    result = run(GOOD, BAD, "--spec", "kv", "--format", "ours")
    assert result.exit_code == 1
    assert f"{GOOD}: holds (" in result.stdout
    assert f"{BAD}: violated (" in result.stdout
    assert 'get -> "1"  but kv answers "2"' in result.stdout


def test_a_file_that_cannot_be_read_ends_with_2_and_the_others_are_checked(garbage: str) -> None:
    result = run(garbage, "/no/such/file", GOOD)
    assert result.exit_code == 2
    assert f"{GOOD}: holds (" in result.stdout
    assert result.stderr.splitlines() == [
        f"error: {garbage}:1: not a valid event: JSON is malformed: invalid character (byte 9)",
        "error: /no/such/file: cannot be read: No such file or directory",
    ]


def test_a_violation_outranks_what_could_not_be_checked(garbage: str) -> None:
    assert run(garbage, BAD, GOOD).exit_code == 1


def test_no_verdict_ends_with_2_and_says_why(hard: str) -> None:
    result = run(hard, "--spec", "cas-register", "--budget", "0.05")
    assert result.exit_code == 2
    assert f"{hard}: no verdict (" in result.stdout
    assert "the time budget of 0.05 s is used up" in result.stdout
    result = run(hard, "--spec", "cas-register", "--memory", "500")
    assert result.exit_code == 2
    assert "the memory bound of 500 cache entries was reached in register" in result.stdout


def test_json_has_every_file(garbage: str, hard: str) -> None:
    result = run(GOOD, BAD, garbage, hard, "--json", "--memory", "500", "--spec", "kv")
    assert result.exit_code == 1
    good, bad, broken, refused = msgspec.json.decode(result.stdout)
    assert (good["file"], good["verdict"], good["spec"], good["format"]) == (GOOD, "holds", "kv", "ours")
    assert (good["operations"], good["parts"], good["explanation"]) == (5, 2, None)
    assert 0 <= good["seconds"] < 60
    assert bad["verdict"] == "violated"
    explanation = bad["explanation"]
    (stuck,) = explanation["moments"][-1]["candidates"]
    assert (stuck["expected"], stuck["fits"]) == ('"2"', False)
    assert explanation["calls"][stuck["call"]]["text"].startswith("get")
    assert broken["verdict"] == "no verdict"
    assert "not a valid event" in broken["reason"]
    assert refused["verdict"] == "no verdict"
    assert "kv: process 0, event 1: 'write' 0 -> ok 0 is not understood" in refused["reason"]


def test_a_specification_must_be_named_somewhere(hard: str) -> None:
    result = run(hard)
    assert result.exit_code == 2
    assert "does not name its specification; give one with --spec" in result.stderr


def test_a_header_may_name_a_specification_that_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    header = '{"format": "payments-verify-history", "version": 1, "spec": "queue"}'
    path.write_text(header + '\n{"type": "invoke", "process": 0, "f": "take"}')
    result = run(str(path))
    assert result.exit_code == 2
    assert "no specification is named 'queue'; there are cas-register, etcd, kv" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--spec", "queue", GOOD], "'queue' is none of"),
        (["--format", "xml", GOOD], "'xml' is none of auto, ours"),
        (["--budget", "0", GOOD], "not a positive number of seconds"),
        (["--budget", "nan", GOOD], "not a positive number of seconds"),
        (["--memory", "0", GOOD], "--memory"),
        ([], "Missing argument"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_command_is_listed_and_tells_its_exit_codes() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert "Check recorded histories for linearizability." in result.output
    assert "Exit codes: 0 all hold; 1 one is violated" in " ".join(run("--help").output.split())


@needs_peers
def test_all_peer_histories_at_once() -> None:
    known = peer_verdicts()
    result = run("--json", *map(str, known))
    assert result.exit_code == 1
    assert {Path(one["file"]): one["verdict"] for one in msgspec.json.decode(result.stdout)} == known


def test_the_console_script_prints_names_that_the_terminal_cannot(tmp_path: Path) -> None:
    path = tmp_path / "\u0436.jsonl"
    path.write_bytes((HISTORIES / "cas-register-bad-stale-read.jsonl").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", "from payments_verify.cli import main; main()", "history", path],
        env={"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"\\u0436.jsonl: violated (" in done.stdout
    assert done.stderr == b""
