"""One trial: a technique let loose on one mutant, as a process of its own, and what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from lab.mutants.reasons import invariants_told
from lab.mutants.techniques import Kill, Technique, TrialName
from payments_verify.patience import patient

TrialState: TypeAlias = Literal["killed", "survived", "timed out", "no verdict"]

_POLL_S = 0.1
_GRACE_S = 20.0
_EVIDENCE = 4_000
_POSTGRES_BIN = "PAYMENTS_POSTGRES_BIN"


class Interrupted(Exception):
    """The trial was told to end before it came to a result."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a technique on a tree.

    Attributes:
        technique: the technique.
        arguments: the command line, without folders.
        state: ``killed`` only if the technique's own report says violated; an error of any kind is none.
        tries: how much was tried, up to the kill if there was one.
        seconds: up to the kill, from where the service was ready; ``None`` without one.
        size: of the smallest counterexample; ``None`` without one.
        unit: of the size.
        wall_s: how long the process took, start-up and the shrinking of the counterexample included.
        evidence: the counterexample, or why there is no verdict; cut if it is long.
        breaks: the invariants that the counterexample breaks, as the report says; ``None`` if it does not.
        check: the check of the main job, or the discovered race, that found it; empty for other techniques.
    """

    technique: TrialName
    arguments: tuple[str, ...]
    state: TrialState
    wall_s: float
    tries: int = 0
    seconds: float | None = None
    size: int | None = None
    unit: str = ""
    evidence: str = ""
    breaks: tuple[str, ...] | None = None
    check: str = ""


def arguments_of(technique: Technique, narrowed: Sequence[str] | None) -> tuple[str, ...]:
    """The command line of a technique, for a mutant that may have something narrower for it."""
    return (*technique.command, *(technique.budget if narrowed is None else narrowed), "--json")


def run_trial(
    technique: Technique,
    arguments: tuple[str, ...],
    mutant: Path,
    left_behind: Path,
    *,
    bin_dir: Path | None,
    stop: threading.Event,
) -> Trial:
    """Run a technique against the package in a folder.

    Args:
        technique: the technique.
        arguments: its command line.
        mutant: the folder that holds the package.
        left_behind: where schedules and histories go.
        bin_dir: the PostgreSQL to run; the harness's choice if not given.
        stop: set to end the trial early.

    Raises:
        Interrupted: it was set, and nothing was found by then.
    """
    folder = [] if technique.folder is None else [technique.folder, str(left_behind)]
    command = [sys.executable, "-m", *arguments, *folder]
    started = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            env=_environment(mutant, bin_dir),
            start_new_session=True,
        )
        in_time = _await(process, started + patient(technique.limit_s), stop)
        wall = round(time.monotonic() - started, 3)
        output.seek(0)
        errors.seek(0)
        said, complained = output.read(), errors.read().decode(errors="replace")
    told = read_verdict(technique, arguments, process.returncode, said, complained, wall)
    if not in_time and told.state != "killed":  # what it had found when it was ended, it tells
        if stop.is_set():
            raise Interrupted
        return _without_verdict(
            technique, arguments, "timed out", wall, f"no verdict within {technique.limit_s:g} s"
        )
    return told


def _environment(mutant: Path, bin_dir: Path | None) -> Mapping[str, str]:
    paths = [str(mutant), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "160"}
    return environment if bin_dir is None else {**environment, _POSTGRES_BIN: str(bin_dir)}


def _await(process: subprocess.Popen[bytes], deadline: float, stop: threading.Event) -> bool:
    """Wait for a process; whether it ended by itself, in time and before it was told to stop."""
    while process.poll() is None:
        if stop.is_set() or time.monotonic() > deadline:
            _end(process)
            return False
        time.sleep(_POLL_S)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started: first so that it stops its servers itself."""
    for signal_, to_all in ((signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGKILL, True)):
        with suppress(ProcessLookupError):
            if to_all:
                os.killpg(process.pid, signal_)
            else:
                process.send_signal(signal_)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            return


def read_verdict(
    technique: Technique, arguments: tuple[str, ...], code: int, said: bytes, complained: str, wall: float
) -> Trial:
    """What a process that came to its end says."""
    try:
        results: list[dict[str, Any]] = msgspec.json.decode(said, type=list[dict[str, Any]])
        verdicts = {str(result["verdict"]) for result in results}
        if code == 1 and "violated" in verdicts:
            return _killed(technique, arguments, technique.kill(results), results, wall)
        if code == 0 and verdicts == {"holds"}:
            return Trial(
                technique=technique.name,
                arguments=arguments,
                state="survived",
                tries=technique.tries(results),
                wall_s=wall,
            )
        why = "\n".join(_problem(result) for result in results if result["verdict"] != "holds")
    except (msgspec.MsgspecError, KeyError, TypeError, StopIteration) as error:
        why = f"exit code {code}, and a report that cannot be read: {error!r}\n{complained[-_EVIDENCE:]}"
    return _without_verdict(technique, arguments, "no verdict", wall, why or f"exit code {code}")


def _killed(
    technique: Technique,
    arguments: tuple[str, ...],
    kill: Kill,
    results: Sequence[Mapping[str, Any]],
    wall: float,
) -> Trial:
    violated = [result for result in results if result["verdict"] == "violated"]
    found = [each for each in violated if kill.check in ("", each.get("name"), each.get("scenario"))]
    return Trial(
        technique=technique.name,
        arguments=arguments,
        state="killed",
        tries=kill.tries,
        seconds=kill.seconds,
        size=kill.size,
        unit=kill.unit,
        wall_s=wall,
        evidence=_problem(found[0])[:_EVIDENCE],
        breaks=invariants_told(found),
        check=kill.check,
    )


def _without_verdict(
    technique: Technique, arguments: tuple[str, ...], state: TrialState, wall: float, why: str
) -> Trial:
    return Trial(
        technique=technique.name,
        arguments=arguments,
        state=state,
        wall_s=wall,
        evidence=why[-_EVIDENCE:],
    )


def _problem(result: Mapping[str, Any]) -> str:
    return str(result.get("counterexample") or result.get("problem") or "no reason was given")
