"""What `make specs` makes is up to date, and each thing that it speaks of, when it changes, changes it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.pages import PageError, Sources, SourcesError, blocks_of, fill, make
from lab.pages.code_map import ROOTS, NoTextError, code_map
from lab.pages.diagram import state_diagram
from lab.pages.sources import ids_of
from lab.pages.traceability import KINDS, evidence_of, gaps, matrix
from lab.pages.transitions import cells, moves
from payments_model import LEGAL_MOVES, RECORDED, State
from payments_verify.systems.schema import Guard
from tests.docs.pages import ROOT

PAGE = "before\n<!-- made by `make specs`: a -->\nold\n<!-- end of a -->\nafter\n"


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources.read(ROOT)


@pytest.fixture(scope="module")
def statuses(sources: Sources) -> dict[str, str]:
    return {condition.text: "confirmed" for condition in sources.contracts}


def test_the_pages_are_up_to_date(sources: Sources, statuses: dict[str, str]) -> None:
    for path, text in make(sources, statuses).files(ROOT).items():
        assert path.read_text() == text, f"{path} is not what `make specs` writes"


def test_every_invariant_is_held_by_something_of_each_kind_or_it_is_said_why_not(sources: Sources) -> None:
    assert [str(gap) for gap in gaps(sources)] == []
    assert len(sources.invariants) == 12
    for name, evidence in KINDS.items():
        assert sum(len(evidence(sources, id_)) for id_ in sources.invariants) > 9, name


@pytest.mark.parametrize("kind", ["scenarios", "tests", "mutants", "rules"])
def test_a_cell_that_becomes_empty_is_a_gap(sources: Sources, kind: str) -> None:
    emptied = {id_: names for id_, names in getattr(sources, kind).items() if id_ != "I3"}
    changes: dict[str, Any] = {kind: emptied}
    (gap,) = gaps(replace(sources, **changes))
    assert str(gap).startswith(f"I3, {'exploration' if kind == 'rules' else kind}: nothing holds it")


def test_contracts_and_constraints_that_go_leave_gaps_too(sources: Sources) -> None:
    fewer = [condition for condition in sources.contracts if condition.invariant != "I4"]
    assert [gap.kind for gap in gaps(replace(sources, contracts=fewer))] == ["contracts"]
    silent = tuple(replace_comment(guard) for guard in sources.schema.guards)
    schema = type(sources.schema)(sources.schema.tables, silent)
    found = gaps(replace(sources, schema=schema))
    assert {gap.kind for gap in found} == {"constraints"}
    assert len(found) == 8


def replace_comment(guard: Guard) -> Guard:
    return Guard(guard.table, guard.name, "says nothing")


def test_an_excuse_for_what_is_not_empty_and_an_unknown_id_are_told(sources: Sources) -> None:
    excused = replace(sources, excuses={**sources.excuses, "I3": {"tests": "none needed"}})
    assert "is explained as empty" in str(gaps(excused)[0])
    unknown = replace(sources, tests={**sources.tests, "I13": ["a"]})
    assert [str(gap) for gap in gaps(unknown)] == ["I13, tests: the specification has no such invariant"]


def test_evidence_names_what_it_is(sources: Sources, statuses: dict[str, str]) -> None:
    told = evidence_of(sources, "I1", statuses | {sources.contracts[0].text: "refuted"})
    assert "`one_captured_attempt`" in told
    assert "`four-captures`" in told
    assert "[ten_captures_at_once](../tests/impl/entrypoints/http/test_captures.py)" in told
    assert "`no-row-lock`" in told
    assert "- Contracts: none. The model has no disk." in evidence_of(sources, "I7", statuses)
    assert matrix(sources).count("\n| I") == 12


def test_a_contract_that_is_refuted_is_not_called_confirmed(
    sources: Sources, statuses: dict[str, str]
) -> None:
    (contract,) = [each for each in sources.contracts if each.invariant == "I4"]
    assert "(refuted)" in evidence_of(sources, "I4", statuses | {contract.text: "refuted"})


def test_ids() -> None:
    assert ids_of("I1: why") == ("I1",)
    assert ids_of("I3, I11: why") == ("I3", "I11")
    assert ids_of("see I1: why") == ids_of("I1 why") == ()


def test_the_transitions_are_the_legal_moves() -> None:
    drawn = {(before, after) for before, after in moves() if before != "no payment"}
    assert drawn == {(before.name.lower(), after.name.lower()) for before, after in LEGAL_MOVES}
    assert moves()["authorized", "failed"] == ["fail", "expire"]
    assert {state for _, state in cells()} == {"no payment", *(state.name.lower() for state in State)}


def test_the_outcomes_that_are_stored_are_said_to_be(sources: Sources, statuses: dict[str, str]) -> None:
    table = make(sources, statuses).blocks["precedence"].splitlines()[2:]
    assert sum(line.endswith("| yes |") for line in table) == len(RECORDED)
    assert len(table) == 11


def test_a_state_that_is_new_is_not_left_out() -> None:
    drawn = state_diagram({**moves(), ("captured", "refunded"): ["refund"]})
    assert ">refunded</text>" in drawn
    assert ">refund</text>" in drawn


def test_blocks_are_filled_and_nothing_else_is_touched() -> None:
    assert fill(PAGE, {"a": "new"}) == PAGE.replace("old", "new")
    assert fill(fill(PAGE, {"a": "new"}), {"a": "new"}) == fill(PAGE, {"a": "new"})


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (PAGE.replace("end of a", "end of b"), "does not end"),
        (PAGE + PAGE, "two blocks 'a'"),
        (PAGE.replace("<!-- end of a -->", ""), "without the other"),
        (PAGE.replace("<!-- made by `make specs`: a -->", ""), "without the other"),
        (PAGE.replace("old", "<!-- made by `make specs`: b -->"), "does not end"),
    ],
)
def test_a_page_whose_blocks_cannot_be_told_apart(page: str, says: str) -> None:
    with pytest.raises(PageError, match=says):
        blocks_of(page)


def test_a_block_that_nothing_is_made_for() -> None:
    with pytest.raises(PageError, match="nothing is made for the blocks a"):
        fill(PAGE, {"b": "new"})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("specs", "tests", "lab"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__")
        )
    for root in ROOTS:
        if not (tmp_path / root).exists():
            (tmp_path / root).parent.mkdir(exist_ok=True)
            (tmp_path / root).symlink_to(ROOT / root)
    return tmp_path


def test_a_page_that_was_edited_by_hand_is_found_and_shown(checkout: Path) -> None:
    checked = ["specs", "--check", "--root", str(checkout)]
    assert CliRunner().invoke(app, checked).exit_code == 0
    page = checkout / "specs" / "specification.md"
    page.write_text(page.read_text().replace("| `bigint` |", "| `integer` |", 1))
    result = CliRunner().invoke(app, checked)
    assert result.exit_code == 1
    assert "-| `amount_cents` | `integer` |" in result.stderr
    assert "`make specs` writes it anew" in result.stderr


def test_where_there_is_no_checkout_it_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["specs", "--check", "--root", str(tmp_path)])
    assert (result.exit_code, "or give --root" in result.stderr) == (2, True)


def test_a_mutant_without_what_it_breaks_is_an_error(checkout: Path) -> None:
    (checkout / "lab" / "mutants" / "bugs" / "nameless.toml").write_text('breaks = ["I1"]\n')
    with pytest.raises(SourcesError, match=r"nameless\.toml has no 'name'"):
        Sources.read(checkout)


def repository(folder: Path) -> Path:
    for place in ROOTS:
        (folder / place).mkdir(parents=True)
        (folder / place / "__init__.py").write_text(f'"""What {place} is. More of it."""\n')
    inner = folder / "harness" / "pgweave" / "gate"
    inner.mkdir()
    (inner / "__init__.py").write_text(
        '"""The gate:\nholds statements."""\nfrom pgweave.clock import Clock\n'
    )
    (inner / "proxy.py").write_text("import payments_model.capture\n")
    (folder / "harness" / "pgweave" / "clock.py").write_text('"""A clock."""\n')
    return folder


def test_the_map_is_made_of_what_packages_say_and_import(tmp_path: Path) -> None:
    made = code_map(repository(tmp_path)).splitlines()
    assert "| `model/payments_model` | What model/payments_model is |  |" in made
    assert "| `harness/pgweave/clock.py` | A clock |  |" in made
    assert "| `harness/pgweave/gate` | The gate: holds statements | `clock`, `payments_model` |" in made
    assert len(made) == 2 + len(ROOTS) + 2


def test_a_package_that_says_nothing_is_no_room(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "lab" / "__init__.py").write_text("")
    with pytest.raises(NoTextError, match="does not say in its first line what is at home there"):
        code_map(root)
