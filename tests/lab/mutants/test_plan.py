"""Which trials there are, what a result depends on, and which results are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from lab.mutants.catalogue import Catalogue
from lab.mutants.matrix import Kept
from lab.mutants.plan import UNMUTATED, Planned, planned
from lab.mutants.trial import arguments_of
from lab.static_checks.session_levels import PAGE
from payments_verify.sources import sources_hash
from tests.lab.mutants.test_matrix import NAMES, TECHNIQUES, catalogue, trees_of, trial


def test_a_plan_has_the_expected_techniques_and_all_for_the_code_as_it_is(tmp_path: Path) -> None:
    known = catalogue(a=["machine", "faults"])
    plan = planned(known, trees_of(tmp_path, [UNMUTATED, "a"]), TECHNIQUES)
    assert [each.technique.name for each in plan if each.row == UNMUTATED] == NAMES
    assert [each.technique.name for each in plan if each.row == "a"] == ["machine", "faults"]
    everything = planned(known, trees_of(tmp_path, [UNMUTATED, "a"]), TECHNIQUES, all_techniques=True)
    assert [each.technique.name for each in everything if each.row == "a"] == NAMES


def test_what_a_mutant_is_looked_for_with_is_tried_on_the_code_as_it_is(tmp_path: Path) -> None:
    wanted = ("--scenario", "different-keys", "--fault", "40001")
    mutant = catalogue(a=["faults"])["a"]
    known = Catalogue([msgspec.structs.replace(mutant, arguments={"faults": wanted})])
    plan = planned(known, trees_of(tmp_path, [UNMUTATED, "a"]), TECHNIQUES, only=["faults"])
    narrowed = arguments_of(TECHNIQUES["faults"], wanted)
    assert [each.row for each in plan if each.arguments == narrowed] == [UNMUTATED, "a"]
    assert len([each for each in plan if each.row == UNMUTATED]) == 2


def keys(plan: Sequence[Planned], row: str) -> dict[str, str]:
    return {each.technique.name: each.key for each in plan if each.row == row}


def test_a_key_depends_on_what_a_technique_reads_and_on_its_command(tmp_path: Path) -> None:
    trees = trees_of(tmp_path, [UNMUTATED, "a"])
    known = catalogue(a=["machine", "model"])
    first = planned(known, trees, TECHNIQUES)
    package = trees["a"] / "package"
    (package / "store.py").write_text("x")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_text("x")
    second = planned(known, trees, TECHNIQUES)
    assert keys(first, UNMUTATED) == keys(second, UNMUTATED)
    assert keys(first, "a")["model"] == keys(second, "a")["model"]  # it reads the domain alone
    assert keys(first, "a")["machine"] != keys(second, "a")["machine"]
    (package / "domain" / "rules.py").write_text("y")
    third = planned(known, trees, TECHNIQUES)
    assert keys(second, "a")["model"] != keys(third, "a")["model"]
    salted = planned(known, trees, TECHNIQUES, salt="/usr/lib/postgresql/15/bin")
    assert not set(keys(third, "a").values()) & set(keys(salted, "a").values())


@pytest.mark.parametrize("judge", ["harness", "lab", "page"])
def test_a_key_depends_on_all_that_judges(
    judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab has checks of its own, and one of them reads the page."""
    trees, known = trees_of(tmp_path, [UNMUTATED, "a"]), catalogue(a=["machine", "model"])
    before = planned(known, trees, TECHNIQUES)

    def changed(*more: str, without: tuple[str, ...] = ()) -> str:
        whole = sources_hash(*more, without=without)
        return "another version" if judge in ("harness", *more) else whole

    page = tmp_path / "operations.md"
    page.write_text(PAGE.read_text() + ("another setting" if judge == "page" else ""))
    monkeypatch.setattr("lab.mutants.plan.PAGE", page)
    monkeypatch.setattr("lab.mutants.plan.sources_hash", changed)
    later = planned(known, trees, TECHNIQUES)
    assert not set(keys(before, "a").values()) & set(keys(later, "a").values())


def test_results_are_kept_and_forgotten(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put("a", trial("killed"))
    kept.put("b", trial("no verdict"))
    kept.put("c", trial("timed out"))
    assert Kept(tmp_path).get("a") == trial("killed")
    assert (kept.get("b"), kept.get("c")) == (None, None)  # what kept it from running may be gone
    (tmp_path / "d.json").write_text("{")
    assert kept.get("d") is None
    kept.put("e", trial("survived"))
    assert kept.known(["a", "b"]) == {"a": trial("killed")}
    assert Kept(tmp_path, fresh=True).known(["a"]) == {}
    assert (kept.get("a"), kept.get("e")) == (None, trial("survived"))  # what is asked for is forgotten
