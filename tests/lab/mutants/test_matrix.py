"""What follows from trials: verdicts, exit codes, the report and the picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from lab.mutants.catalogue import Catalogue, Mutant, TechniqueName
from lab.mutants.plan import UNMUTATED, planned
from lab.mutants.results import Matrix, matrix
from lab.mutants.techniques import DISCOVERY, Technique, TrialName, techniques
from lab.mutants.trial import Interrupted, Trial, TrialState, arguments_of, read_verdict, run_trial
from payments_verify.report.kill_matrix import write_kill_matrix
from payments_verify.report.saved import Mutants

TECHNIQUES = techniques(["different-keys"])
NAMES: Sequence[TechniqueName] = list(TECHNIQUES)


def trial(
    state: TrialState = "survived",
    technique: TrialName = "machine",
    breaks: tuple[str, ...] | None = ("I5",),
    wall_s: float = 1.5,
) -> Trial:
    killed = state == "killed"
    return Trial(
        technique=technique,
        arguments=("x",),
        state=state,
        tries=3,
        seconds=0.25 if killed else None,
        size=2 if killed else None,
        unit="commands" if killed else "",
        wall_s=wall_s,
        evidence="" if state == "survived" else "why <not>",
        breaks=breaks if killed else None,
    )


def catalogue(**expected: Sequence[TechniqueName]) -> Catalogue:
    mutants = [
        {
            "name": name.replace("_", "-"),
            "category": "time",
            "stands_for": "a bug",
            "breaks": ["I5"],
            "expected": list(found),
        }
        for name, found in expected.items()
    ]
    return Catalogue(msgspec.convert(mutants, list[Mutant]))


def made(
    known: Catalogue,
    tree: Path,
    states: Mapping[tuple[str, TrialName], TrialState],
    *,
    all_techniques: bool = False,
    only: Sequence[TechniqueName] = ("machine", "stress"),
) -> Matrix:
    """A matrix in which every trial survives but those that are named; ``None`` stands for not yet."""
    trees = trees_of(tree, [UNMUTATED, *known])
    plan = planned(known, trees, TECHNIQUES, only=only, all_techniques=all_techniques)
    done = {
        each.key: trial(states.get((each.row, each.technique.name), "survived"), each.technique.name)
        for each in plan
    }
    columns = {name: TECHNIQUES[name] for name in only}
    return matrix(known, list(trees), columns, plan, done)


def drawn(found: Matrix) -> str:
    return write_kill_matrix(msgspec.convert(found.as_json(), Mutants))


def trees_of(folder: Path, rows: Sequence[str]) -> dict[str, Path]:
    trees = {}
    for number, row in enumerate(rows):
        package = folder / str(number) / "package" / "domain"
        package.mkdir(parents=True, exist_ok=True)
        (package / "rules.py").write_text(f"row = {row!r}\n")
        trees[row] = package.parents[1]
    return trees


def test_all_is_well_if_every_mutant_is_killed_and_the_code_as_it_is_survives(tmp_path: Path) -> None:
    found = made(catalogue(a=["machine"]), tmp_path, {("a", "machine"): "killed"})
    assert found.verdict == "holds"
    assert (found.fate("a"), found.fate(UNMUTATED)) == ("killed", "survived")
    assert found.rows["a"]["stress"].state == "not tried"
    assert found.missed == []


def test_a_mutant_that_nothing_kills_survives(tmp_path: Path) -> None:
    found = made(catalogue(a=["machine"], b=["machine"]), tmp_path, {("a", "machine"): "killed"})
    assert (found.verdict, found.survivors) == ("violated", ["b"])
    assert found.missed == [("b", "machine")]


def test_a_mutant_that_another_technique_kills_is_killed_and_the_first_missed_it(tmp_path: Path) -> None:
    found = made(catalogue(a=["machine"]), tmp_path, {("a", "stress"): "killed"}, all_techniques=True)
    assert (found.verdict, found.missed) == ("holds", [("a", "machine")])


def test_the_code_as_it_is_killed_is_a_false_alarm(tmp_path: Path) -> None:
    states: dict[tuple[str, TrialName], TrialState] = {
        ("a", "machine"): "killed",
        (UNMUTATED, "stress"): "killed",
    }
    found = made(catalogue(a=["machine"]), tmp_path, states)
    assert (found.verdict, found.false_alarms, found.survivors) == ("violated", ["stress"], [])
    assert "alarm" in drawn(found)


@pytest.mark.parametrize("state", ["no verdict", "timed out"])
def test_the_code_as_it_is_has_to_come_through_every_technique(state: TrialState, tmp_path: Path) -> None:
    states: dict[tuple[str, TrialName], TrialState] = {
        ("a", "machine"): "killed",
        (UNMUTATED, "stress"): state,
    }
    found = made(catalogue(a=["machine"]), tmp_path, states)
    assert (found.verdict, found.unfinished) == ("no verdict", [UNMUTATED])


def test_a_mutant_that_could_not_be_tried_is_none_that_survives(tmp_path: Path) -> None:
    found = made(catalogue(a=["machine"]), tmp_path, {("a", "machine"): "no verdict"})
    assert (found.verdict, found.survivors, found.unfinished) == ("no verdict", [], ["a"])


def test_a_mutant_without_a_verdict_in_time_survives(tmp_path: Path) -> None:
    found = made(catalogue(a=["machine"]), tmp_path, {("a", "machine"): "timed out"})
    assert (found.verdict, found.survivors) == ("violated", ["a"])


def test_what_was_not_finished_is_not_known(tmp_path: Path) -> None:
    known = catalogue(a=["machine", "stress"])
    trees = trees_of(tmp_path, [UNMUTATED, "a"])
    plan = planned(known, trees, TECHNIQUES, only=["machine", "stress"])
    done = {each.key: trial() for each in plan if each.row == UNMUTATED or each.technique.name == "stress"}
    found = matrix(known, list(trees), {n: TECHNIQUES[n] for n in ("machine", "stress")}, plan, done)
    assert [found.rows["a"][name].state for name in ("machine", "stress")] == ["not yet", "survived"]
    assert (found.verdict, found.survivors) == ("no verdict", [])


def test_the_report_has_the_same_keys_whatever_came_of_it(tmp_path: Path) -> None:
    known = catalogue(a=["machine"], b=["stress"])
    report = made(known, tmp_path, {("a", "machine"): "killed"}).as_json()
    assert json.loads(json.dumps(report)) == report
    assert list(report) == [
        *(
            "format",
            "version",
            "verdict",
            "summary",
            "exit_code",
            "killed",
            "total",
            "survivors",
            "false_alarms",
        ),
        *("unfinished", "missed", "techniques", "unmutated", "mutants"),
    ]
    assert (report["killed"], report["total"], report["survivors"]) == (1, 2, ["b"])
    cells = [cell for row in [report["unmutated"], *report["mutants"]] for cell in row["cells"].values()]
    assert {tuple(cell) for cell in cells} == {
        (
            *("state", "expected", "tries", "seconds", "size", "unit", "wall_seconds", "command"),
            *("evidence", "breaks"),
        )
    }
    killed = report["mutants"][0]["cells"]["machine"]
    assert (killed["tries"], killed["seconds"], killed["size"], killed["unit"]) == (3, 0.25, 2, "commands")


def test_the_picture_is_well_formed_loads_nothing_and_tells_states_apart(tmp_path: Path) -> None:
    states: dict[tuple[str, TrialName], TrialState] = {
        ("a", "machine"): "killed",
        ("b", "machine"): "timed out",
    }
    picture = drawn(made(catalogue(a=["machine"], b=["machine"], c=["stress"]), tmp_path, states))
    root = ET.fromstring(picture)
    classes = {box.get("class") for box in root.iter("{http://www.w3.org/2000/svg}rect")}
    assert {"killed", "missed", "survived", "unknown", "untried"} <= classes
    assert "prefers-color-scheme: dark" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "why &lt;not&gt;" in picture


# ---- reports of techniques -----------------------------------------------------------------------


def told(technique: TechniqueName, code: int, results: Any) -> Trial:
    said = results if isinstance(results, bytes) else msgspec.json.encode(results)
    return read_verdict(TECHNIQUES[technique], ("x",), code, said, "Traceback: oops", 2.0)


SCHEDULES = {"verdict": "holds", "schedules": 7, "seconds": 1.0, "problem": None}
WRONG = {
    "verdict": "violated",
    "schedules": 3,
    "schedules_to_violation": 2,
    "seconds_to_violation": 0.5,
    "seconds": 9.0,
    "switches": 4,
    "statements": 9,
    "problem": "not linearizable",
}


@pytest.mark.parametrize(
    ("technique", "size", "unit"), [("exploration", 4, "switches"), ("faults", 9, "statements")]
)
def test_tries_before_the_violated_scenario_count(technique: TechniqueName, size: int, unit: str) -> None:
    found = told(technique, 1, [SCHEDULES, WRONG])
    assert (found.state, found.tries, found.seconds, found.size) == ("killed", 9, 1.5, size)
    assert (found.unit, found.evidence) == (unit, "not linearizable")
    survived = told(technique, 0, [SCHEDULES, SCHEDULES])
    assert (survived.state, survived.tries, survived.size) == ("survived", 14, None)


def test_a_discovered_race_is_a_kill() -> None:
    """It counts the races up to the one that is wrong, and names that."""
    races = [{**SCHEDULES, "scenario": "nothing,read"}, {**WRONG, "scenario": "created,void,void"}]
    found = read_verdict(DISCOVERY, ("x",), 1, msgspec.json.encode(races), "", 2.0)
    assert (found.state, found.tries, found.seconds, found.size) == ("killed", 9, 1.5, 2)
    assert (found.unit, found.check, found.evidence) == ("races", "created,void,void", "not linearizable")


@pytest.mark.parametrize(
    ("code", "results"),
    [
        (1, b"Traceback (most recent call last)"),  # an error of the harness ends with 1 as well
        (1, [SCHEDULES]),
        (1, []),
        (0, []),
        (0, [WRONG]),
        (2, [{**SCHEDULES, "verdict": "no verdict", "problem": "no database"}]),
        (2, b""),
        (-9, b""),
        (1, [{"verdict": "violated"}]),
    ],
)
def test_only_a_report_that_says_violated_is_a_kill(code: int, results: Any) -> None:
    found = told("exploration", code, results)
    assert found.state == "no verdict"
    assert found.evidence


def stuck(folder: Path, limit_s: float) -> Technique:
    """Waits longer than anybody has patience."""
    (folder / "waits.py").write_text("import time\ntime.sleep(600)\n")
    return replace(TECHNIQUES["model"], command=("waits",), limit_s=limit_s)


def test_a_trial_that_takes_too_long_is_ended_and_kills_nothing(tmp_path: Path) -> None:
    technique = stuck(tmp_path, 0.5)
    found = run_trial(
        technique, arguments_of(technique, None), tmp_path, tmp_path, bin_dir=None, stop=Event()
    )
    assert (found.state, found.evidence) == ("timed out", "no verdict within 0.5 s")


def test_a_trial_can_be_told_to_end(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    technique = stuck(tmp_path, 100)
    with pytest.raises(Interrupted):
        run_trial(technique, arguments_of(technique, None), tmp_path, tmp_path, bin_dir=None, stop=stop)


def test_what_is_found_for_another_reason_is_missed(tmp_path: Path) -> None:
    report = made(catalogue(a=["machine"]), tmp_path, {("a", "machine"): "killed"}).as_json()
    report["mutants"][0]["cells"]["machine"]["state"] = "another reason"
    root = ET.fromstring(write_kill_matrix(msgspec.convert(report, Mutants)))
    drawn_as = [box.get("class") for box in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert (drawn_as.count("missed"), drawn_as.count("unknown")) == (2, 1)  # the legend has one of each
