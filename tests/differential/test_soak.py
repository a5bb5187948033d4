"""Load under a nemesis: the service survives it, and a broken one does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from payments_verify.nemesis.catalog import FAULTS
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    ANSWER_BEFORE_COMMIT,
    BLIND_RETRY_AFTER_COMMIT,
    HOST_CLOCK,
    REPLICATION_WARNING_IGNORED,
    SWEEP_WITHOUT_LIMIT,
)

LIMIT_S = 600.0
ASYNCHRONOUS = ("--server-setting", "synchronous_commit=off", "--server-setting", "wal_writer_delay=10000")


@dataclass(frozen=True)
class Broken:
    """What is broken, what brings it to light, and how it shows: a number above zero, or words."""

    edits: Sequence[Edit]
    fault: str
    shows: str
    arguments: tuple[str, ...] = ()


# A session of the service is durable whatever the server is set to; this one takes what it finds.
DURABILITY_OF_THE_SERVER = Edit(
    "infrastructure/postgres/session.py",
    '    "synchronous_commit": '
    """"regexp_replace(current_setting('synchronous_commit'), '^(off|local)$', 'on')",\n""",
    "",
)
BUGS = {
    "synchronous_commit=off": Broken((DURABILITY_OF_THE_SERVER,), "immediate stop", "lost", ASYNCHRONOUS),
    "response before COMMIT": Broken(ANSWER_BEFORE_COMMIT, "all APIs killed", "not linearizable"),
    "blind retry after an ambiguous commit": Broken(BLIND_RETRY_AFTER_COMMIT, "commit unheard", "doubled"),
    # What was never replicated is a capture or a refusal, as luck has it.
    "warning at COMMIT ignored": Broken(REPLICATION_WARNING_IGNORED, "failover behind", "not linearizable"),
    "decides by the host's clock": Broken(HOST_CLOCK, "API clock off", "not linearizable"),
    "sweep without a limit": Broken(SWEEP_WITHOUT_LIMIT, "black hole", "the rest is lost"),
}


def soak(mutant: Path, folder: Path, faults: Sequence[str], minutes: float, *more: str) -> tuple[int, Any]:
    arguments = ["--minutes", str(minutes), "--folder", str(folder), "--faults", ",".join(faults)]
    run = run_harness(mutant, ["soak", *arguments, "--seed", "1", "--json", *more], LIMIT_S)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


SLOWLY = {"decides by the host's clock", "sweep without a limit"}
"""Half a minute each, and more."""


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=pytest.mark.long) if bug in SLOWLY else bug for bug in BUGS]
)
def test_the_bug_is_found(bug: str, tmp_path: Path) -> None:
    broken = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", broken.edits)
    code, report = soak(mutant, tmp_path / "soak", [broken.fault], 2, *broken.arguments)
    assert (code, report["verdict"]) == (1, "violated"), report
    if broken.shows in report:
        assert report[broken.shows] > 0
    else:
        assert broken.shows in "\n".join(report["problems"])


@pytest.mark.long
def test_the_service_as_it_is_survives_the_faults_that_show_the_bugs(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    faults = sorted({broken.fault for broken in BUGS.values()})
    code, report = soak(copy, tmp_path / "soak", faults, 0.6)
    assert (code, report["verdict"], report["problems"]) == (0, "holds", [])
    assert (report["lost"], report["doubled"]) == (0, 0)
    assert report["acknowledged"] > 100
    assert len(report["faults"]) >= 3

    # What was saved says the same again, without a server.
    again = run_harness(copy, ["soak", "--check", str(tmp_path / "soak"), "--json"])
    assert again.returncode == 0
    assert json.loads(again.stdout) == report


@pytest.mark.invariant("I7")
@pytest.mark.long
def test_the_service_as_it_is_survives_everything(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    code, report = soak(copy, tmp_path / "soak", list(FAULTS), 4)
    absent = report["run"]["absent"]
    assert (code, report["verdict"], report["problems"]) == (0, "holds", [])
    struck = {each["fault"] for each in report["faults"] if each["injected"]}
    assert struck >= set(FAULTS) - set(absent)
