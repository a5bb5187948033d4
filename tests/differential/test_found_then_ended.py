"""A violation that was found is told, whatever ends the command while it is made smaller."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab.mutants.techniques import techniques
from lab.mutants.trial import run_trial
from tests.support.descendants import wait_until

LIMIT_S = 120.0

SLOWLY_WRONG = '''
import asyncio, sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from payments_verify import cli
from payments_verify.cli import differential
from payments_verify.payments.programs import run as programs
from payments_verify.payments.observed.observations import Observation
from payments_verify.systems import in_memory

class Wrong:
    """Forgets what it captured; once it was seen to, it takes its time."""
    def __init__(self, inner):
        self.inner = inner
        self.slow = 0.0

    async def send(self, invocation):
        await asyncio.sleep(self.slow)
        observed = await self.inner.send(invocation)
        payment = observed.value.get("payment")
        if invocation.f == "read" and payment and payment["state"] == "captured":
            self.slow = {slow}
            Path("found").touch()
            wrong = {{**observed.value, "payment": {{**payment, "state": "failed"}}}}
            return Observation(observed.kind, wrong)
        return observed

@asynccontextmanager
async def wrong():
    async with in_memory() as system:
        yield replace(system, clients=(Wrong(system.clients[0]),))

differential.in_memory = wrong
programs._run_input_programs = lambda _calls: None  # it is found in a program that is drawn
{more}
sys.argv = ["payments-verify", *sys.argv[1:]]
cli.main()
'''
MACHINE = ["machine", "--system", "in-memory", "--seed", "1", "--steps", "20", "--json"]
COMMAND = ("payments_verify", *MACHINE)


def script(slow: float = 0.2, more: str = "") -> str:
    return SLOWLY_WRONG.format(slow=slow, more=more)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_mismatch_is_told_when_its_shrinking_is_ended(ending: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", script(), *MACHINE],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until((tmp_path / "found").exists, LIMIT_S, "the first mismatch")
        time.sleep(1)
        process.send_signal(ending)
        said, complained = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1, complained
    assert "interrupted" in complained
    (result,) = json.loads(said)
    assert result["verdict"] == "violated"
    assert "the smallest program so far:\n  " in result["counterexample"]
    assert "capture {" in result["counterexample"]
    assert result["violation"]["commands"] > 0


def test_shrinking_has_an_end(tmp_path: Path) -> None:
    limit = "from payments_verify.payments.programs import tally; tally.SHRINKING_LIMIT_S = 5.0"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script(slow=0.02, more=limit), *MACHINE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert time.monotonic() - started < LIMIT_S / 2
    assert done.returncode == 1, done.stderr
    (result,) = json.loads(done.stdout)
    assert "the smallest program so far:\n  " in result["counterexample"]
    assert result["examples"] > 1


@pytest.fixture
def slow_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of a service that is wrong, and slow from then on."""
    (tmp_path / "script.py").write_text(script(slow=3.0))
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nshift 2\ncd {tmp_path}\nexec {sys.executable} script.py "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shim))


@pytest.mark.usefixtures("slow_trials")
def test_a_mutant_that_was_found_out_is_killed_even_if_it_is_interrupted(tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_when_found() -> None:
        wait_until((tmp_path / "found").exists, LIMIT_S, "the first mismatch")
        stop.set()

    stopping = threading.Thread(target=stop_when_found)
    stopping.start()
    machine = techniques(())["machine"]
    trial = run_trial(machine, COMMAND, tmp_path / "none", tmp_path, bin_dir=None, stop=stop)
    stopping.join()
    assert (trial.state, trial.unit) == ("killed", "commands"), trial.evidence


@pytest.mark.usefixtures("slow_trials")
def test_a_mutant_that_was_found_out_is_killed_even_if_its_time_is_over(tmp_path: Path) -> None:
    machine = replace(techniques(())["machine"], limit_s=25.0)
    trial = run_trial(machine, COMMAND, tmp_path / "none", tmp_path, bin_dir=None, stop=threading.Event())
    assert (trial.state, trial.unit) == ("killed", "commands"), trial.evidence
    assert trial.wall_s >= machine.limit_s
