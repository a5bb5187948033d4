"""The tutorial's bug is found, replayed and mended as its page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payments_core.infrastructure.postgres import statements
from tests.docs.pages import ROOT, blocks, section
from tests.support.mutants import Edit, mutated_copy, run_harness

TUTORIAL = (ROOT / "specs" / "tutorial.md").read_text()
LOCK = " FOR NO KEY UPDATE"
SCENARIO = ("--scenario", "different-keys")


def table(text: str) -> list[str]:
    """The rows of the printed table without their times."""
    return [
        re.sub(r"\s+\d+\.\d$", "", line.strip())
        for line in text.splitlines()
        if line.startswith("different-keys ")
    ]


def drawn(text: str) -> list[str]:
    """The lines of the drawing that a reader is shown, from one lane's head to where the model parts."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    start = next(index for index, line in enumerate(lines) if line.startswith("    > capture k1"))
    end = next(index for index, line in enumerate(lines) if line.startswith("!!"))
    shown = [re.sub(r'("legal_moves": ).*', r"\1...", line) for line in lines[start : end + 1]]
    return [re.sub(r"=+$", "==", line) for line in shown]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (line,) = blocks(TUTORIAL, "python")
    assert line in Path(statements.__file__).read_text()
    assert f"delete `{LOCK}`" in TUTORIAL
    edit = Edit("infrastructure/postgres/statements.py", line, line.replace(LOCK, ""))
    return mutated_copy(tmp_path_factory.mktemp("broken"), [edit])


def test_the_bug_is_found_and_replayed(broken: Path, tmp_path: Path) -> None:
    found = run_harness(broken, ["explore", *SCENARIO, "--output", str(tmp_path)])
    assert found.returncode == 1
    assert table(found.stdout) == table(section(TUTORIAL, "## 3. Find it"))
    assert "I9: capture" in found.stdout
    replayed = run_harness(broken, ["replay", str(tmp_path / "different-keys.schedule.json")])
    assert replayed.returncode == 1
    assert drawn(replayed.stdout) == drawn(section(TUTORIAL, "## 4. See it"))
    page = (tmp_path / "different-keys.html").read_text()
    assert "looks for: Two captures with keys of their own both succeed." in page
    assert "violated: I9. Contention alone causes no 5xx" in page


def test_without_it_the_exploration_holds(tmp_path: Path) -> None:
    whole = mutated_copy(tmp_path, [])
    found = run_harness(whole, ["explore", *SCENARIO])
    assert found.returncode == 0
    assert table(found.stdout) == table(section(TUTORIAL, "## 1. It holds"))
