"""The command on small catalogues: it kills, sees what survives, and goes on where it was ended."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from lab.cli.mutants import TechniqueOption
from lab.mutants.catalogue import TechniqueName
from tests.support.mutants import CATALOGUE, mutated_copy, run_harness

REAL = Path(__file__).parents[3] / "lab" / "mutants" / "bugs"
A_COMMENT = """
name = "a-comment"
category = "time"
stands_for = "nothing: only a comment differs"
breaks = ["I5"]
expected = ["static"]
edits = [{ file = "domain/capture.py", find = "if now >=", replace = "# a comment\\n    if now >=" }]
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The service as it is, in a folder for ``PYTHONPATH``."""
    return mutated_copy(tmp_path / "copy", ())


def small(folder: Path, *names: str, survivor: bool = False) -> Path:
    """A catalogue of some mutants, and perhaps one that is none."""
    folder.mkdir()
    for name in names:
        shutil.copy(REAL / f"{name}.toml", folder)
    if survivor:
        (folder / "a-comment.toml").write_text(A_COMMENT)
    return folder


def run(package: Path, catalogue: Path, work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    folders = ["--catalogue", catalogue, "--kept", work / "kept", "--output", work / "report"]
    return run_harness(package, ["mutants", *map(str, folders), "--workers", "2", *options], program="lab")


def report(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


def states(found: Any) -> dict[str, Sequence[str]]:
    rows = {"(as it is)": found["unmutated"], **{each["name"]: each for each in found["mutants"]}}
    return {name: [cell["state"] for cell in row["cells"].values()] for name, row in rows.items()}


def test_a_kill_a_survivor_and_a_run_that_is_taken_up_again(copy: Path, tmp_path: Path) -> None:
    catalogue = small(tmp_path / "catalogue", "no-constraints", survivor=True)
    options = ("--technique", "static", "--json")
    nothing = run(copy, catalogue, tmp_path, *options, "--minutes", "0")
    assert nothing.returncode == 2
    assert report(nothing)["verdict"] == "no verdict"

    first = run(copy, catalogue, tmp_path, *options)
    found = report(first)
    assert first.returncode == found["exit_code"] == 1
    assert states(found) == {
        "(as it is)": ["survived"],
        "a-comment": ["survived"],
        "no-constraints": ["killed"],
    }
    assert found["survivors"] == ["a-comment"]
    assert "two successful captures" in found["mutants"][1]["cells"]["static"]["evidence"]
    assert "a-comment" in (tmp_path / "report" / "mutants.svg").read_text()

    # No trial can be begun any more, and all are known.
    again = run(copy, catalogue, tmp_path, *options, "--minutes", "0")
    assert report(again)["mutants"] == found["mutants"]
    forgotten = run(copy, catalogue, tmp_path, *options, "--minutes", "0", "--fresh")
    assert states(report(forgotten))["no-constraints"] == ["not yet"]


def test_a_false_alarm_is_one(tmp_path: Path) -> None:
    broken = mutated_copy(tmp_path / "broken", CATALOGUE.edits("multi-row-lock-without-order"))
    catalogue = small(tmp_path / "catalogue", "role-may-rewrite-history")
    ended = run(broken, catalogue, tmp_path, "--technique", "static", "--json")
    found = report(ended)
    assert (ended.returncode, found["false_alarms"], found["survivors"]) == (1, ["static"], [])
    assert found["verdict"] == "violated"


def test_what_the_code_has_moved_on_from_ends_it_at_once(copy: Path, tmp_path: Path) -> None:
    catalogue = small(tmp_path / "catalogue", survivor=True)
    stale = A_COMMENT.replace('find = "if now >="', 'find = "if later >="')
    (catalogue / "a-comment.toml").write_text(stale)
    ended = run(copy, catalogue, tmp_path)
    assert ended.returncode == 2
    assert "domain/capture.py: the anchor stands 0 times in it, not once: 'if later >='" in ended.stderr


@pytest.mark.parametrize(
    ("name", "technique", "unit"),
    [
        ("fingerprint-not-compared", "machine", "commands"),
        ("no-row-lock", "exploration", "switches"),
        ("commit-error-swallowed", "faults", "statements"),
        ("unique-violation-answered-500", "stress", "operations"),
    ],
)
def test_a_technique_kills_and_says_after_how_much(
    name: str, technique: str, unit: str, copy: Path, tmp_path: Path
) -> None:
    catalogue = small(tmp_path / "catalogue", name)
    ended = run(copy, catalogue, tmp_path, "--only", name, "--technique", technique, "--json")
    found = report(ended)
    assert ended.returncode == 0, found
    assert states(found) == {"(as it is)": ["survived"], name: ["killed"]}
    cell = found["mutants"][0]["cells"][technique]
    assert cell["unit"] == unit
    assert 1 <= cell["size"] <= 150
    assert cell["tries"] >= 1
    assert 0 < cell["seconds"] < cell["wall_seconds"]


def test_every_technique_can_be_chosen() -> None:
    assert [each.value for each in TechniqueOption] == list(get_args(TechniqueName))


def test_the_list_names_every_mutant(copy: Path, tmp_path: Path) -> None:
    ended = run(copy, REAL, tmp_path, "--list")
    assert ended.returncode == 0
    assert [name for name in CATALOGUE if f"{name}  " not in ended.stdout] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--only", "no-such-bug"], "no mutant is named no-such-bug"), (["--technique", "luck"], "luck")],
)
def test_what_there_is_not(options: list[str], says: str, copy: Path, tmp_path: Path) -> None:
    ended = run(copy, REAL, tmp_path, *options)
    assert ended.returncode == 2
    assert says in ended.stderr
