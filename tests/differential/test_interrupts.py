"""Ctrl-C: what was finished stays, what was started ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.descendants import Process, descendants, still_running, wait_until

START_LIMIT_S = 180.0
END_LIMIT_S = 120.0
VERIFY = ["verify", "--quick", "--seed=1", "--output=out", "--at-once=4", "--prove-again"]
"""The contracts begin at once, and are proved by processes that are waited for."""

IN_THE_BACKGROUND = """
import asyncio, os, signal, time
from payments_verify.cli.interrupts import interrupt_on_termination
signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupt_on_termination()

def callback():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
    except BaseException:
        print("in the middle of a callback")

async def main():
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.1)
    print("SIGINT is ignored")
    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(60)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""

IN_A_COLLECTION = """
import gc, os, signal, time
from payments_verify.cli.interrupts import interrupt_on_termination
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt_on_termination()

def callback(phase, info):
    gc.callbacks.remove(callback)
    try:
        {fall}
    except BaseException:
        print("in the middle of a callback")
        raise

gc.callbacks.append(callback)
try:
    gc.collect()
    time.sleep({wait_s})
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""

COMMANDS = {
    "explore": (["explore", "--scenario", "six-captures"], "postgres"),
    "workers": (["explore", "--scenario", "six-captures", "--workers", "2"], "spawn_main"),
    "faults": (["faults"], "postgres"),
    "machine": (["machine", "--system", "server", "--examples", "100000"], "payments_core serve"),
    "races": (["machine", "--races", "--examples", "100000"], "postgres"),
    "stress": (["stress", "--rounds", "100000"], "payments_core serve"),
    "soak": (["soak", "--minutes", "10"], "payments_core serve"),
    "model": (["model", "--prove-again"], "crosshair_worker"),
}


@contextmanager
def started(
    arguments: Sequence[str], folder: Path, at_interrupt: signal.Handlers = signal.SIG_DFL
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "payments_verify", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        # What a shell has put in the background ignores SIGINT, and so does all that it starts.
        preexec_fn=partial(signal.signal, signal.SIGINT, at_interrupt),  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def interrupted(
    process: subprocess.Popen[str], child: str, ending: signal.Signals = signal.SIGINT
) -> tuple[str, set[Process]]:
    """Interrupt a command once it has a child of this name; what it complained of, and who is left."""

    def has_child() -> bool:
        assert process.poll() is None, process.communicate()
        return any(child in each.command for each in descendants(process.pid))

    wait_until(has_child, START_LIMIT_S, f"a child {child!r}")
    time.sleep(1)
    seen = descendants(process.pid)
    assert seen
    process.send_signal(ending)
    _, complaints = process.communicate(timeout=END_LIMIT_S)
    deadline = time.monotonic() + 5
    while still_running(seen) and time.monotonic() < deadline:
        time.sleep(0.1)
    return complaints, still_running(seen)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_leaves_nothing_behind_and_says_that_it_was_interrupted(name: str, tmp_path: Path) -> None:
    arguments, child = COMMANDS[name]
    with started(arguments, tmp_path) as process:
        complaints, left = interrupted(process, child)
    assert left == set()
    assert "interrupted" in complaints
    assert "Traceback" not in complaints
    assert process.returncode == 2


@pytest.mark.parametrize("name", ["explore", "stress", "model"])
def test_a_command_in_the_background_ends_when_it_is_told_to(name: str, tmp_path: Path) -> None:
    arguments, child = COMMANDS[name]
    with started(arguments, tmp_path, signal.SIG_IGN) as process:
        complaints, left = interrupted(process, child, signal.SIGTERM)
    assert left == set()
    assert "interrupted" in complaints
    assert "Traceback" not in complaints
    assert process.returncode == 2


def ended(script: str, limit_s: float) -> subprocess.CompletedProcess[str]:
    """What a script printed that came to its end in time."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=limit_s, check=True
    )


def test_the_loop_of_a_command_in_the_background_is_interrupted_between_callbacks() -> None:
    done = ended(IN_THE_BACKGROUND, 30)
    assert done.stdout.splitlines() == ["SIGINT is ignored", "interrupted"]


@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_python_cannot_raise_where_it_falls_comes_again(ending: str) -> None:
    done = ended(IN_A_COLLECTION.format(fall=f"os.kill(os.getpid(), signal.{ending})", wait_s=20), 60)
    assert done.stdout.splitlines() == ["in the middle of a callback", "interrupted"]
    assert done.stderr == ""


def test_what_else_python_cannot_raise_is_told_as_before() -> None:
    done = ended(IN_A_COLLECTION.format(fall="1 / 0", wait_s=0), 60)
    assert done.stdout.splitlines() == ["in the middle of a callback", "went on"]
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_verify_leaves_a_report_of_what_was_finished(ending: signal.Signals, tmp_path: Path) -> None:
    with started(VERIFY, tmp_path) as process:
        complaints, left = interrupted(process, "crosshair_worker", ending)
    assert left == set()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    violations = [each["counterexample"] for each in report["checks"] if each["verdict"] == "violated"]
    assert (process.returncode, violations) == (2, []), complaints
    assert report["interrupted"] is True
    assert (report["verdict"], report["exit_code"]) == ("no verdict", 2)
    assert report["checks"][-1]["kind"] == "interrupted"
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Interrupted: what was finished is here, the rest did not run." in page


def test_who_is_left_is_found() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"],
        stdin=subprocess.PIPE,
    ) as parent:
        wait_until(lambda: bool(descendants(parent.pid)), 20, "a child")
        seen = descendants(parent.pid)
        parent.kill()
        parent.wait()
        assert still_running(seen) == seen
        assert parent.stdin is not None
        parent.stdin.close()
        wait_until(lambda: not still_running(seen), 20, "the child's end")
