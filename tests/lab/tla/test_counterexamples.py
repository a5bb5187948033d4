"""TLC's counterexample for a weakened protocol, run on a real service that is weakened the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.tla.counterexample import NoScheduleError, counterexample
from lab.tla.models import read_models
from lab.tla.output import Found, TracedState
from lab.tla.values import Function
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    CLOCK_IN_LOCKING_STATEMENT,
    COMMIT_BEFORE_UPDATE,
    KEY_BEFORE_LOCK,
    LOCK_AND_LOOK_UP_IN_ONE,
    NO_CONSTRAINTS,
    NO_ROW_LOCK,
    SWEEPER_WITHOUT_GUARD,
    TRANSACTION_START,
)
from tests.support.tla import FOLDER, tlc

MODELS = read_models(FOLDER)

# The weakened model, and the service with the same bug.
WEAKENED: dict[str, Sequence[Edit]] = {
    "weakened-no-lock": (NO_ROW_LOCK, NO_CONSTRAINTS),
    "weakened-no-lock-behind-constraints": (NO_ROW_LOCK,),
    "weakened-look-up-in-lock": (*LOCK_AND_LOOK_UP_IN_ONE, NO_CONSTRAINTS),
    "weakened-look-up-in-lock-behind-constraints": LOCK_AND_LOOK_UP_IN_ONE,
    "weakened-look-up-before-lock": (KEY_BEFORE_LOCK, NO_CONSTRAINTS),
    "weakened-look-up-before-lock-behind-constraints": (KEY_BEFORE_LOCK,),
    "weakened-clock-in-lock": CLOCK_IN_LOCKING_STATEMENT,
    "weakened-clock-at-start": (TRANSACTION_START,),
    "weakened-commit-before-update": COMMIT_BEFORE_UPDATE,
    "weakened-sweeper-without-guard": SWEEPER_WITHOUT_GUARD,
    "weakened-number-before-lock-behind-constraints": (KEY_BEFORE_LOCK,),
}
# They are no schedules: the runs have faults, or every answer is right. What shows them is said beside.
WITHOUT_SCHEDULE = {
    # Two events of one number: the audit reads them (tests/harness/audit).
    "weakened-number-before-lock",
    # `payments-verify faults` cuts the connection in between; the mutant is key-committed-before-capture.
    "weakened-key-committed-before",
    # A failover: nor_is_a_repeated_answer in tests/impl/infrastructure/postgres/test_sync_replication.py.
    "weakened-replay-does-not-wait",
    # What never happens, no run shows; tests/impl/entrypoints/test_background.py breaks the sweeper's loop.
    "weakened-sweeper-ends-with-a-fault",
    # The service commits no claims.
    "weakened-claims-do-not-lapse",
}
QUICK = ("weakened-no-lock", "weakened-look-up-in-lock", "weakened-clock-in-lock")
REPLAYS = 5


def test_every_weakened_model_is_run() -> None:
    assert set(WEAKENED) | WITHOUT_SCHEDULE == {name for name, model in MODELS.items() if model.violates}


@pytest.mark.parametrize("name", sorted(WITHOUT_SCHEDULE))
def test_what_no_schedule_shows_is_none(name: str) -> None:
    model = MODELS[name]
    found = tlc().run(FOLDER / f"{model.module}.tla", FOLDER / model.configuration, deadlocks=model.deadlocks)
    assert found.violated == model.violates
    with pytest.raises(NoScheduleError, match=r"a fault|no scenario"):
        counterexample(model, found)


def written(name: str, file: Path) -> dict[str, Any]:
    """The result of writing a model's counterexample as a schedule."""
    tlc()
    arguments = [
        "tla",
        "counterexample",
        name,
        "--output",
        str(file),
        "--specification",
        str(FOLDER),
        "--json",
    ]
    made = CliRunner().invoke(app, arguments)
    assert made.exit_code == 0, made.output
    result: dict[str, Any] = json.loads(made.stdout)
    return result


def in_words_of_a_service(answers: Sequence[Sequence[str]]) -> list[list[str]]:
    """What TLC says that captures were answered, as clients hear it; other processes say other words."""
    words = {"internal_error": "unknown"}
    return [[words.get(each, each) for each in process if each != "done"] for process in answers]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in WEAKENED]
)
def test_a_counterexample_shows_the_same_anomaly_on_a_real_database(name: str, tmp_path: Path) -> None:
    file = tmp_path / "found.schedule.json"
    made = written(name, file)
    mutant = mutated_copy(tmp_path / "mutant", WEAKENED[name])
    again = run_harness(mutant, ["replay", str(file), "--times", str(REPLAYS), "--json"])
    assert again.returncode == 1, again.stdout + again.stderr
    result = json.loads(again.stdout)
    assert result["violations"] == REPLAYS
    for expected, heard in zip(in_words_of_a_service(made["answers"]), result["answers"], strict=True):
        assert not expected or expected == heard


@pytest.mark.parametrize("name", ["weakened-no-lock"])
def test_the_service_as_it_is_does_not_show_it(name: str, tmp_path: Path) -> None:
    file = tmp_path / "found.schedule.json"
    written(name, file)
    again = run_harness(mutated_copy(tmp_path / "copy", ()), ["replay", str(file), "--json"])
    assert again.returncode in (0, 2), again.stdout + again.stderr
    assert json.loads(again.stdout)["violations"] == 0


def test_where_everything_holds_there_is_no_schedule(tmp_path: Path) -> None:
    tlc()
    file = tmp_path / "none.json"
    arguments = [
        "tla",
        "counterexample",
        "same-key-twice",
        "--output",
        str(file),
        "--specification",
        str(FOLDER),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "same-key-twice: everything holds" in result.stderr
    assert not file.exists()


def test_a_model_of_no_scenario_and_a_run_with_faults_are_no_schedules() -> None:
    with pytest.raises(NoScheduleError, match="no scenario"):
        counterexample(MODELS["payments"], Found(violated="I1"))
    before = {"at": Function({0: "lock", 1: "begin"}), "queue": (), "answers": Function({0: (), 1: ()})}
    after = {**before, "at": Function({0: "begin", 1: "begin"})}
    trace = (TracedState("Initial", before), TracedState("Cut", after))
    with pytest.raises(NoScheduleError, match="a fault"):
        counterexample(MODELS["weakened-no-lock"], Found(violated="I1AtTheEnd", trace=trace))
