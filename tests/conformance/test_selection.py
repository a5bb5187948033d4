"""A part of conformance: what was chosen is run, what was not is said, and no level is claimed for it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from payments_verify.cli.conformance import show
from payments_verify.payments.conformance.examination import QUICK, Examination, examine_level
from payments_verify.payments.conformance.levels import NOT_FOLLOWED, LevelResult, conclude
from payments_verify.payments.conformance.selection import SelectionError, levels_of, select
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE, SCENARIOS
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from pgweave.gate import OF_POSTGRESQL, Fault
from pgweave.verdict import Verdict
from tests.conformance.test_peers import BINDING, CHARGES

TWICE = SCENARIOS["same-key-twice"]
ALL = set(OF_POSTGRESQL)
WHOLE = Examination(
    "a service",
    in_memory,
    in_memory,
    scenarios=(TWICE, SCENARIOS["different-keys"]),
    fault_plans=(FaultPlan(ONE_CAPTURE), FaultPlan(TWICE)),
    unchecked=["scenario create-twice (levels 4 and 5): the binding lacks ids.chosen_by = 'client'"],
)
HOLDS = CheckResult("x", "x", 1, "holds", 0.0)


@pytest.mark.parametrize(
    ("only", "levels"),
    [
        ((), (1, 2, 3, 4, 5)),
        (("sequential",), (1,)),
        (("every interleaving",), (4,)),
        (("windows",), (1, 3)),
        (("same-key-twice",), (4, 5)),
        (("cut-after",), (5,)),
        (("one-capture",), (5,)),
        (("disconnect",), (5,)),
        (("stress", "same-key-twice"), (3, 4, 5)),
    ],
)
def test_a_name_is_of_levels(only: Sequence[str], levels: Sequence[int]) -> None:
    assert tuple(levels_of(only)) == levels


def test_what_was_chosen_is_all_that_is_run() -> None:
    chosen = select(WHOLE, scenarios=["same-key-twice"])
    assert [each.name for each in chosen.scenarios] == ["same-key-twice"]
    assert [each.scenario.name for each in chosen.fault_plans] == ["same-key-twice"]
    hurt = select(WHOLE, [Fault.CUT_AFTER.value])
    assert hurt.scenarios == WHOLE.scenarios
    assert {fault for each in hurt.fault_plans for fault in each.faults} == {Fault.CUT_AFTER}
    stress = select(WHOLE, ["stress"])
    assert (stress.has("stress", 3), stress.has("windows", 3), stress.has("programs", 1)) == (
        True,
        False,
        True,
    )
    assert select(WHOLE, ["faults"]).parts == {}


@pytest.mark.parametrize(
    ("only", "plans", "hangs_up"),
    [
        ([], {"one-capture": ALL, "same-key-twice": ALL}, True),
        (["faults"], {"one-capture": ALL, "same-key-twice": ALL}, True),
        (["same-key-twice"], {"same-key-twice": ALL}, False),
        # Level 5 has no plan for it unless it is named; with three actors it is tried again by itself.
        (["three-captures"], {"three-captures": {Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK}}, False),
        (["three-captures", "cut-after"], {}, False),
        (
            ["different-keys-and-tick", "40001"],
            {"different-keys-and-tick": {Fault.SERIALIZATION_FAILURE}},
            False,
        ),
        (["disconnect"], {}, True),
        (
            ["disconnect", "cut-after"],
            {"one-capture": {Fault.CUT_AFTER}, "same-key-twice": {Fault.CUT_AFTER}},
            True,
        ),
    ],
)
def test_faults_of_what_was_chosen_are_tried_and_no_others(
    only: Sequence[str], plans: Mapping[str, set[Fault]], hangs_up: bool
) -> None:
    more = SCENARIOS["three-captures"], SCENARIOS["different-keys-and-tick"]
    whole = replace(WHOLE, scenarios=(*WHOLE.scenarios, *more))
    chosen = select(whole, only)
    assert {each.scenario.name: set(each.faults) for each in chosen.fault_plans} == plans
    assert chosen.hangs_up == hangs_up
    if not plans and not hangs_up:
        found = examine_level(chosen, QUICK, 5, folder=Path(), seed=1)
        assert (found.verdict, found.reason) == (
            "not run",
            "it has nothing of that: only three-captures, cut-after",
        )


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("no-such", "nothing is named 'no-such'; there are sequential"),
        ("create-twice", "the binding lacks ids.ch"),
        ("one-capture", r"one-capture cannot be run: .* \(level 5\): the binding lacks clock"),
    ],
)
def test_what_cannot_be_run_is_refused(only: str, told: str) -> None:
    with pytest.raises(SelectionError, match=told):
        select(replace(WHOLE, lacks=lambda _: "clock"), [only])


def test_what_is_for_faults_alone_needs_the_database_too() -> None:
    unchecked = ["levels 4 and 5: they need the service's database"]
    with pytest.raises(SelectionError, match="one-capture cannot be run: levels 4 and 5: they need"):
        select(replace(WHOLE, open_behind_gate=None, unchecked=unchecked), ["one-capture"])


CLOCK = "the clock is not moved: after two windows, a capture is answered captured"
NO_CLOCK = [
    f"scenario {each} (levels 4 and 5): the binding lacks clock"
    for each in ("two-sweepers", "capture-and-ticks")
]
NO_SWEEP = "scenario two-sweepers (levels 4 and 5): the binding lacks sweep.sql"
FUNCTION = "function capture (levels 4 and 5): a call is one step, nothing comes between its statements"
KEEPALIVES = "levels 4 and 5: the service sends statements that no request asks for: SELECT 1"


@pytest.mark.parametrize(
    ("unchecked", "told"),
    [
        ([CLOCK, FUNCTION, *NO_CLOCK], CLOCK),
        (NO_CLOCK, NO_CLOCK[0]),
        ([CLOCK, NO_CLOCK[1], NO_SWEEP], NO_SWEEP),
        ([CLOCK, *NO_CLOCK, KEEPALIVES], KEEPALIVES),
        ([FUNCTION], "it is no part of this"),
    ],
)
def test_of_why_a_scenario_cannot_be_run_one_reason_is_told(unchecked: list[str], told: str) -> None:
    with pytest.raises(SelectionError) as refused:
        select(replace(WHOLE, unchecked=unchecked), scenarios=["two-sweepers"])
    assert str(refused.value) == f"two-sweepers cannot be run: {told}"


def test_a_part_of_a_level_is_no_level() -> None:
    whole = [LevelResult(number, "holds", (HOLDS,)) for number in range(1, 6)]
    part = replace(whole[3], part="only same-key-twice")
    assert conclude("x", range(1, 6), whole).reached == 5
    without_1 = conclude("x", [4, 5], whole[3:])
    assert (without_1.reached, without_1.verdict) == (None, "holds")
    assert without_1.summary == "levels 4 to 5 hold; 1 to 3 left out"
    assert conclude("x", [1, 5], [whole[0], whole[4]]).reached == 1
    assert conclude("x", [1, 5], [whole[0], whole[4]]).summary == "levels 1 and 5 hold; 2 to 4 left out"
    found = conclude("x", range(1, 5), [*whole[:3], part])
    assert (found.reached, found.summary) == (3, "levels 1 to 4 hold; level 4 only same-key-twice")
    assert found.as_json()["levels"][3]["part"] == "only same-key-twice"
    assert conclude("x", [4], [part]).summary == "level 4 holds; level 4 only same-key-twice; 1 to 3 left out"


def run(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, subject: Examination = WHOLE
) -> tuple[Result, dict[int, Any]]:
    ran: dict[int, Any] = {}

    @contextmanager
    def examined(*_arguments: object, **_options: object) -> Iterator[Examination]:
        yield subject

    def level(examination: Examination, _trials: object, number: int, **_options: object) -> LevelResult:
        ran[number] = examination
        if number > 3 and examination.open_behind_gate is None:
            return LevelResult(number, "not run", reason=NOT_FOLLOWED)
        return LevelResult(number, "holds", (HOLDS,), part=examination.parts.get(number))

    monkeypatch.setattr(import_module("payments_verify.cli.conformance"), "examined", examined)
    monkeypatch.setattr(
        import_module("payments_verify.payments.conformance.examination"), "examine_level", level
    )
    return CliRunner().invoke(app, ["conformance", "--command", "x", *arguments]), ran


@pytest.mark.parametrize(
    ("arguments", "levels", "reached"),
    [
        ([], [1, 2, 3, 4, 5], 5),
        (["--level", "2"], [1, 2], 2),
        (["--level", "1", "--level", "4"], [1, 4], 1),
        (["--from", "3", "--level", "4"], [3, 4], None),
        (["--scenario", "same-key-twice"], [4, 5], None),
        (["--only", "windows", "--level", "1"], [1], None),
        (["--only", "idempotent"], [2], None),
    ],
)
def test_the_options_choose(
    arguments: list[str], levels: list[int], reached: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, ran = run(monkeypatch, *arguments, "--json")
    assert done.exit_code == 0, done.output
    assert list(ran) == levels
    told = json.loads(done.stdout)
    assert (told["level"], told["asked"]) == (reached, levels)
    assert reached is not None or "left out" in told["summary"] or "only" in told["summary"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ([], 0, "its statements cannot be followed, see: not checked"),
        (["--level", "3"], 0, "it was not asked for"),
        (["--level", "5"], 2, "its statements cannot be followed, see: not checked"),
    ],
)
def test_levels_that_cannot_be_run_say_why(
    arguments: list[str], code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, ran = run(monkeypatch, *arguments, "--json", subject=replace(WHOLE, open_behind_gate=None))
    told = json.loads(done.stdout)
    assert (done.exit_code, list(ran)) == (code, [1, 2, 3] if code == 0 else [1, 2, 3, 4])
    assert (told["level"], told["levels"][3]["reason"]) == (3, reason)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such"], "nothing is named"),
        (["--scenario", "stress"], "no scenario is named"),
        (["--scenario", "same-key-twice", "--level", "3"], "it is part of level 4 and 5 alone"),
        (["--from", "4", "--level", "3"], "lies above the last level"),
        (["--output", "x", "--record", "y"], "--output: it would not be used: --record keeps everything"),
        (["--discover", "--record", "y"], "--record: it would not be used: --discover"),
        (["--discover", "--level", "3"], "--level: it would not be used: --discover"),
        (["--discover", "--from", "4"], "--from: it would not be used: --discover"),
        (["--discover", "--seed", "0"], "--seed: it would not be used: --discover"),
        (["--discover", "--quick"], "--quick: it would not be used: --discover"),
    ],
)
def test_what_leaves_nothing_is_refused(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, ran = run(monkeypatch, *arguments)
    assert (done.exit_code, ran) == (2, {})
    assert told in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("verdict", ["holds", "violated"])
def test_what_is_not_checked_is_listed_unless_there_is_something_to_mend(verdict: Verdict) -> None:
    level = LevelResult(
        1, verdict, (replace(HOLDS, verdict=verdict, counterexample=None if verdict == "holds" else "why"),)
    )
    shown = io.StringIO()
    found = conclude("a service", [1], [level], ["capture.body: the bytes", "lock.hold: a lock"])
    show(found, 1, Console(file=shown, width=200))
    is_listed = verdict == "holds"
    assert ("lock.hold: a lock" in shown.getvalue()) == is_listed
    assert ("2 things are not checked" in shown.getvalue()) != is_listed


def test_one_scenario_of_a_real_service_with_its_requests_beside_its_statements(tmp_path: Path) -> None:
    words = ["conformance", "--command", CHARGES, "--binding", str(BINDING), "--scenario", "different-keys"]
    folder = tmp_path / "record"
    done = CliRunner().invoke(app, [*words, "--level", "4", "--record", str(folder), "--json"])
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert (told["level"], told["levels"][3]["verdict"]) == (None, "violated")
    assert told["levels"][3]["part"] == "only different-keys"
    (check,) = told["levels"][3]["checks"]
    (wrong,) = (each for each in check["http"] if each["wrong"])
    assert (wrong["status"], wrong["expected"]) == (200, '409 {"error":"is_paid"}')
    assert f"#  ✗ expected {wrong['expected']}" in check["counterexample"]
    assert [each["kind"] for each in check["timelines"]] == ["schedule", "schedule", "attempt"]
    assert check["counterexample"].count("a longest linearizable prefix") == 1
    assert (folder / "schedules" / "different-keys.schedule.json").exists()
    assert (folder / "output" / "service-1.out").exists()
    assert json.loads((folder / "run.json").read_text())["versions"]["postgresql"]
