"""What makes the command lines pleasant: they explain themselves, complete, and show progress."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from payments_core.entrypoints.cli import app as core
from payments_verify.cli import app as verify
from payments_verify.cli import progress as progress_module
from payments_verify.cli import running, telling
from payments_verify.cli.ends import was_interrupted
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.verify import Pace
from payments_verify.payments.scenarios.named import NAMED
from pgweave.history.operations import History
from tests.docs.pages import ROOT
from tests.pgweave.small_specs import OURS

APPS = {"payments-verify": verify, "payments-core": core}
MODULES = {"payments-verify": "payments_verify", "payments-core": "payments_core"}
_LIMIT_S = 180


@pytest.mark.parametrize("name", APPS)
def test_without_an_argument_it_explains_itself(name: str) -> None:
    result = CliRunner().invoke(APPS[name], [])
    assert result.exit_code == 2
    shown = re.findall(rf"^  \S*{name} (\S+)", result.stdout, re.MULTILINE)
    assert len(shown) == 3
    for command in shown:
        assert CliRunner().invoke(APPS[name], [command, "--help"]).exit_code == 0
    for option in ("--help", "--install-completion"):
        assert f"{name} {option}" in result.stdout
        assert option in CliRunner().invoke(APPS[name], ["--help"]).stdout


def completed(name: str, words: str) -> list[str]:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    run = subprocess.run(
        [sys.executable, "-m", MODULES[name]],
        env={
            **os.environ,
            variable: "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    return run.stdout.split()


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("payments-verify", "payments-verify ver", ["verify"]),
        ("payments-verify", "payments-verify history --ht", ["--html"]),
        ("payments-verify", "payments-verify explore --scenario three", ["three-captures"]),
        ("payments-core", "payments-core mig", ["migrate"]),
    ],
)
def test_a_shell_completes(name: str, words: str, expected: list[str]) -> None:
    assert completed(name, words) == expected


def test_every_scenario_is_completed() -> None:
    assert completed("payments-verify", "payments-verify faults --scenario ") == list(NAMED)


@pytest.mark.parametrize("name", APPS)
def test_the_shell_is_told_how(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", MODULES[name], "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    assert run.returncode == 0, run.stderr
    assert f"_{name.upper().replace('-', '_')}_COMPLETE=complete_bash" in run.stdout


def test_progress_has_an_estimate() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    with progress_bar("counting", console=console) as progress:
        for done in range(1, 60):
            progress(done, 100, "things")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    assert "counting" in text
    assert re.search(r"elapsed 0:00:0\d, left 0:00:0\d", text)


def frames(shown: str) -> list[str]:
    """The lines that were on a terminal, one after the other."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]


def test_progress_fits_eighty_columns_and_cuts_no_number() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80)
    with progress_bar("[12/13] faults at every statement: in process", console=console) as progress:
        for done in (*range(1, 60), *range(30)):
            progress(done, 1_000, "scenarios; window-closes-behind-unrelated: 213,840 schedules")
    *_, times, last = frames(shown.getvalue())
    assert max(map(len, frames(shown.getvalue()))) <= 80
    assert re.search(r"\[12/13\] faults at every statement: in process +elapsed 0:00:0\d, left 0", times)
    assert last.strip() == "29 of 1,000 scenarios; window-closes-behind-unrelated: 213,840 schedules"


def test_a_table_of_explorations_fits_eighty_columns_and_cuts_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["window-closes-behind-rollback", "three-captures"]
    chosen = [word for name in names for word in ("--scenario", name)]
    result = CliRunner().invoke(verify, ["explore", "--system", "in-memory", *chosen])
    rows = result.stdout.splitlines()
    assert max(map(len, rows)) <= 80
    assert [row.split()[0] for row in rows if re.search("[0-9]$", row)] == names


def test_a_line_that_is_printed_beside_progress_is_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(file=sys.stdout, force_terminal=True, width=80)
    with progress_bar("history", console=console) as progress:
        progress(1, 2, "files")
        telling.say("a.jsonl: violated")
        running.print_text(console, "why")
    printed = capsys.readouterr().out
    assert "history" in printed
    # A line is whole where the bar was erased before it, and another line begins behind it.
    assert re.search(r"\x1b\[[12]?[KA](\x1b\[[0-9;?]*[A-Za-z])*a\.jsonl: violated\n", printed)
    assert {"a.jsonl: violated", "why"} <= set(frames(printed))


def test_off_a_terminal_there_is_a_line_now_and_then_also_while_nothing_is_reported() -> None:
    shown = io.StringIO()
    with progress_bar("TLC", console=Console(file=shown), every_s=0.01) as progress:
        progress(3, 17, "expiry [x]")
        deadline = time.monotonic() + 30
        while shown.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "TLC: 3 of 17 expiry [x]; elapsed 0:00:00, left 0:00:00\n" in shown.getvalue()


def test_short_checks_that_follow_each_other_share_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    console = Console(file=shown)
    monkeypatch.setattr(progress_module, "_PAUSE_S", 0.1)
    deadline = time.monotonic() + 30
    while "\n" not in shown.getvalue() and time.monotonic() < deadline:
        monkeypatch.setattr(progress_module.Minute, "ended", time.monotonic())
        with progress_bar("short", console=console, every_s=1):
            time.sleep(0.2)
    assert shown.getvalue().startswith("short: elapsed 0:00:00, left -:--:--\n")


def test_after_a_pause_a_check_has_a_minute_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress_module, "_PAUSE_S", 0.01)
    long_ago = time.monotonic() - 1_000
    monkeypatch.setattr(progress_module.Minute, "told", long_ago)
    monkeypatch.setattr(progress_module.Minute, "ended", long_ago)
    with progress_bar("later", console=Console(file=shown), every_s=60):
        time.sleep(0.2)
    assert shown.getvalue() == ""


def test_what_is_left_goes_by_the_pace_of_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    course = progress_module.Course()
    now[0] = 30.0
    assert str(course) == "elapsed 0:00:30, left -:--:--"
    course.report(10, 40)
    assert str(course) == "elapsed 0:00:30, left 0:01:30"
    course.report(10, 40)
    now[0] = 40.0
    assert str(course) == "elapsed 0:00:40, left 0:01:20"
    now[0] = 200.0  # longer than all that was left: nobody knows
    course.report(10, 40)
    assert str(course) == "elapsed 0:03:20, left -:--:--"
    course.report(40, 40)
    now[0] = 210.0
    course.report(1, 4)  # something else begins, behind the last report
    assert str(course) == "elapsed 0:03:30, left 0:00:30"


def test_where_nobody_looks_nothing_is_shown() -> None:
    shown = io.StringIO()
    with progress_bar("counting", console=Console(file=shown)) as progress:
        progress(1, 2, "half")
    assert shown.getvalue() == ""


LONG = {
    "machine": ["machine", "--system", "in-memory", "--examples", "60"],
    "explore": ["explore", "--system", "in-memory"],
    "stress": ["stress", "--rounds", "6"],
    "faults": ["faults", "--scenario", "different-keys", "--fault", "cut before"],
    "history": ["history", *map(str, OURS)],
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_shows_how_far_it_is(name: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "payments_verify", *LONG[name]],
        stdout=subprocess.DEVNULL,
        stderr=slave,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm"},
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 65_536):
                shown += chunk
        except OSError:  # the other end is closed
            pass
    os.close(master)
    assert process.returncode in (0, 1)
    assert " left " in shown.decode(errors="replace")


def test_a_folder_that_cannot_be_written_to_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(verify, ["verify", "--output", str(tmp_path / "file" / "out")])
    assert result.exit_code == 2
    assert "cannot write to" in result.stderr
    assert "name another folder with --output" in result.stderr


def test_the_commands_page_tells_of_completion() -> None:
    assert "payments-verify --install-completion" in (ROOT / "specs" / "commands.md").read_text()


def test_verify_knows_from_the_last_run_how_long_it_takes(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert str(Pace.read(file, quick=True)) == ""
    last = {"quick": True, "interrupted": False, "seconds": 79.6}
    file.write_bytes(msgspec.json.encode(last))
    assert str(Pace.read(file, quick=True)) == "; the last time, all took 0:01:20"
    assert Pace.read(file, quick=False) == Pace()
    file.write_bytes(msgspec.json.encode({**last, "interrupted": True}))
    assert Pace.read(file, quick=True) == Pace()
    for content in (b"{", b"{}", b"[]", b'{"quick": true, "interrupted": false, "seconds": []}'):
        file.write_bytes(content)
        assert Pace.read(file, quick=True) == Pace()


def interrupted_while_it_ends() -> None:
    try:
        signal.default_int_handler(signal.SIGINT, None)
    except KeyboardInterrupt:
        raise RuntimeError("while ending") from None


def test_an_error_that_an_interrupt_brought_about_counts_as_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        interrupted_while_it_ends()
    assert was_interrupted(caught.value)
    assert was_interrupted(asyncio.CancelledError())
    assert not was_interrupted(RuntimeError("on its own"))
    one = RuntimeError("in a group that is its context")
    one.__context__ = ExceptionGroup("both", [one])
    assert not was_interrupted(one)
    assert was_interrupted(BaseExceptionGroup("both", [one, KeyboardInterrupt()]))
    late = TimeoutError()
    late.__cause__ = asyncio.CancelledError()
    assert not was_interrupted(late)


def test_an_interrupt_is_no_violation_whatever_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_arguments: object) -> History:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("payments_verify.cli.history"), "load", load)
    result = CliRunner().invoke(verify, ["history", str(OURS[0])])
    assert (result.exit_code, result.stderr) == (2, "interrupted; this is what was finished\n")
