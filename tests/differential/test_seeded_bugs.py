"""Break the service, and see the harness say so. Each bug is one that real services have had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.mutants import CATALOGUE, mutated_copy, run_harness
from tests.support.seeded_bugs import KEY_BEFORE_LOCK, NO_CONSTRAINTS, NO_ROW_LOCK, TRANSACTION_START

RACES = {
    "no row lock": (NO_ROW_LOCK,),
    "key looked up before the lock": (KEY_BEFORE_LOCK,),
    "now() for the clock": (TRANSACTION_START,),
    "no unique key and no lock": (NO_ROW_LOCK, NO_CONSTRAINTS),
}

SEQUENTIAL = {
    "window's end counts as inside": CATALOGUE.edits("window-end-inclusive"),
    "replay rebuilt from the payment's current row": CATALOGUE.edits("replay-rebuilt-from-current-row"),
    "state checked before the key": CATALOGUE.edits("state-checked-before-key"),
    "refusal not stored": CATALOGUE.edits("refusal-not-stored"),
}


@pytest.mark.parametrize("bug", RACES)
def test_stress_finds_the_race(bug: str, tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path / "mutant", RACES[bug])
    histories = str(tmp_path / "histories")
    run = run_harness(mutant, ["stress", "--rounds", "300", "--seed", "1", "--histories", histories])
    assert run.returncode == 1, run.stdout + run.stderr
    assert "violated" in run.stdout


@pytest.mark.parametrize("bug", SEQUENTIAL)
def test_the_machine_finds_the_bug(bug: str, tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path, SEQUENTIAL[bug])
    run = run_harness(mutant, ["machine", "--system", "in-memory", "--examples", "500", "--seed", "1"])
    assert run.returncode == 1, run.stdout + run.stderr
    assert "expected" in run.stdout or "under this key the first answer was" in run.stdout


def test_an_unbroken_copy_passes(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ())
    histories = str(tmp_path / "histories")
    machine = run_harness(copy, ["machine", "--system", "in-memory", "--examples", "100", "--seed", "1"])
    stress = run_harness(copy, ["stress", "--rounds", "10", "--seed", "1", "--histories", histories])
    assert (machine.returncode, stress.returncode) == (0, 0), machine.stdout + stress.stdout
