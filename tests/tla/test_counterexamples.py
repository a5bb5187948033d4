"""TLC's counterexample for a weakened protocol, run on a real service that is weakened the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments import schedule_file
from payments_verify.tla.counterexample import NoScheduleError, counterexample
from payments_verify.tla.models import read_models
from payments_verify.tla.output import Found
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import (
    CLOCK_IN_LOCKING_STATEMENT,
    KEY_BEFORE_LOCK,
    LOCK_AND_LOOK_UP_IN_ONE,
    NO_CONSTRAINTS,
    NO_ROW_LOCK,
    TRANSACTION_START,
)
from tests.support.tla import FOLDER, tlc

MODELS = read_models(FOLDER)

# The weakened model, the service with the same bug, and what the model of payments says of the run.
WEAKENED: dict[str, tuple[Sequence[Edit], str]] = {
    "weakened-no-lock": ((NO_ROW_LOCK, NO_CONSTRAINTS), "payments answers already_captured"),
    "weakened-no-lock-behind-constraints": ((NO_ROW_LOCK,), "I9"),
    "weakened-look-up-in-lock": ((*LOCK_AND_LOOK_UP_IN_ONE, NO_CONSTRAINTS), "payments answers captured again"),
    "weakened-look-up-in-lock-behind-constraints": (LOCK_AND_LOOK_UP_IN_ONE, "I9"),
    "weakened-look-up-before-lock": ((KEY_BEFORE_LOCK, NO_CONSTRAINTS), "payments answers captured again"),
    "weakened-look-up-before-lock-behind-constraints": ((KEY_BEFORE_LOCK,), "I9"),
    "weakened-clock-in-lock": (CLOCK_IN_LOCKING_STATEMENT, "payments answers window_expired"),
    "weakened-clock-in-lock-and-rollback": (CLOCK_IN_LOCKING_STATEMENT, "payments answers window_expired"),
    "weakened-clock-at-start": ((TRANSACTION_START,), "payments answers window_expired"),
}
REPLAYS = 5


def test_every_weakened_model_is_run() -> None:
    assert set(WEAKENED) == {name for name, model in MODELS.items() if model.violates}


@pytest.mark.parametrize("name", WEAKENED)
def test_a_counterexample_shows_the_same_anomaly_on_a_real_database(name: str, tmp_path: Path) -> None:
    tlc()
    edits, explanation = WEAKENED[name]
    file = tmp_path / "found.schedule.json"
    made = CliRunner().invoke(
        app,
        ["tla", "counterexample", name, "--output", str(file), "--specification", str(FOLDER), "--json"],
    )
    assert made.exit_code == 0, made.output
    mutant = mutated_copy(tmp_path / "mutant", edits)
    again = run_harness(mutant, ["replay", str(file), "--times", str(REPLAYS), "--json"])
    assert again.returncode == 1, again.stdout + again.stderr
    result = json.loads(again.stdout)
    assert result["violations"] == REPLAYS
    assert explanation in result["explanation"]
