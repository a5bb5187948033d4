"""The report on a service with a seeded bug: what is violated is there, each with its timeline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments_verify.report.page import make_page
from payments_verify.report.saved import of_json, read
from payments_verify.state_edges import Edge, edges_of
from pgweave.history.attempt import Attempt
from pgweave.timeline.model import Timeline
from tests.docs.pages import ROOT
from tests.harness.report.reading import Page
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import NO_CONSTRAINTS, NO_ROW_LOCK

_LIMIT_S = 600
WINDOWS_END = Edit("domain/capture.py", "now >= capture_expires_at", "now > capture_expires_at")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the checks leave of a service that neither locks nor constrains."""
    mutant = mutated_copy(tmp_path_factory.mktemp("mutant"), [NO_ROW_LOCK, NO_CONSTRAINTS])
    out = tmp_path_factory.mktemp("red") / "out"
    environment = {**os.environ, "PYTHONPATH": f"{mutant}{os.pathsep}{ROOT}"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.red_report", str(out)],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def test_the_races_are_violated_and_what_comes_one_by_one_holds(report: dict[str, Any]) -> None:
    assert (report["verdict"], report["exit_code"]) == ("violated", 1)
    verdicts = {check["name"].partition(":")[0]: check["verdict"] for check in report["checks"]}
    assert verdicts == {
        "stateful machine": "holds",
        "every interleaving, 3 scenarios": "violated",
        "stateful machine with races": "violated",
        "stress": "violated",
    }


def test_every_violation_has_its_timeline(report: dict[str, Any]) -> None:
    for check in report["checks"]:
        kinds = {each["kind"] for each in check["timelines"]}
        if check["verdict"] == "holds":
            assert kinds == set()
            continue
        assert "attempt" in kinds
        assert ("schedule" in kinds) is ("stress" not in check["name"])
        for each in check["timelines"]:
            if each["kind"] == "schedule":
                assert msgspec.convert(each["timeline"], Timeline).is_violation
            else:
                attempt = msgspec.convert(each["attempt"], Attempt)
                assert attempt.blocked
                assert all(blocked.expected for blocked in attempt.blocked)


def test_the_page_shows_them(folder: Path, report: dict[str, Any]) -> None:
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert page.loads == []
    assert "✗ violated 1 of 4 checks hold." in page.text
    drawn = sum(len(check["timelines"]) for check in report["checks"])
    assert page.elements.count("figure") == drawn >= 6
    assert "here the run and the model part" in page.text
    assert text == make_page(read(folder))


def test_what_was_exercised_and_how_many_schedules_there_are_is_counted(report: dict[str, Any]) -> None:
    machine, interleavings, races, stress = report["checks"]
    # A stress whose first round is violated has no round that could be counted.
    assert "exercised" in stress
    for check in (machine, interleavings, races):
        assert check["exercised"], check["name"]
        assert all(edges_of(check["exercised"]).values())
    assert edges_of(machine["exercised"])[Edge("authorized", "capture", "captured", "captured")] > 0
    for scenario in interleavings["scenarios"]:
        assert scenario["naive"]["known"] == "estimated"


def test_the_machines_shortest_program_is_drawn(tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path, [WINDOWS_END])
    arguments = ["machine", "--system", "in-memory", "--examples", "500", "--seed", "1", "--json"]
    run = run_harness(mutant, arguments)
    assert run.returncode == 1, run.stdout + run.stderr
    (check,) = json.loads(run.stdout)
    (drawing,) = check["timelines"]
    attempt = msgspec.convert(drawing["attempt"], Attempt)
    (blocked,) = attempt.blocked
    assert blocked.expected == "window_expired"
    assert attempt.calls[blocked.call].text.endswith("-> captured")
    common = {"format": "payments-verify-report", "version": 2, "verdict": "violated", "exit_code": 1}
    rest = {"seconds": 1.0, "finished_at": "", "seed": 1, "quick": True, "checks": [check]}
    assert "window_expired" in Page(make_page(of_json({**common, **rest}, ""))).text
