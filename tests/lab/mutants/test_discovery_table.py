"""`python -m lab discovery --table`: the page has what was tried, and all of it."""

from __future__ import annotations

import pytest

from lab.cli.discovery import HEADER, PAGE, _cells, _require_tried, _verdict
from lab.mutants.plan import UNMUTATED
from lab.mutants.trial import Trial
from lab.pages.blocks import PageError, filled_by
from tests.docs.pages import ROOT

COMMAND = "python -m lab discovery --table"


def trial(technique: str, state: str, **found: object) -> Trial:
    given = {"tries": 7, "seconds": None, "size": None, "unit": "", "wall_s": 9.0, "evidence": ""} | found
    return Trial(technique=technique, arguments=(), state=state, breaks=None, **given)  # type: ignore[arg-type]


FOUND = trial("discovery", "killed", size=3, seconds=1.24, check="created,void,void")
WRITTEN = trial("exploration", "killed", tries=2, seconds=0.5)
SURVIVED = trial("discovery", "survived", tries=1_436)


def test_a_row_has_both_figures() -> None:
    row = _cells("no-lock", {"exploration": WRITTEN, "discovery": FOUND})
    assert row == ["no-lock", "killed", "2", "0.5", "killed", "3", "7", "1.2", "created,void,void"]
    assert len(row) == len(HEADER)
    assert _cells(UNMUTATED, {"discovery": SURVIVED})[4:] == ["survived", "", "1,436", "", ""]


def test_what_was_not_tried_is_not_written() -> None:
    with pytest.raises(PageError, match="1 trial of this code still to make"):
        _require_tried({"no-lock": {"exploration": WRITTEN, "discovery": None}})
    _require_tried({"no-lock": {"exploration": WRITTEN, "discovery": FOUND}})


def test_what_discovery_misses_is_violated() -> None:
    missed = {"exploration": WRITTEN, "discovery": trial("discovery", "survived")}
    assert _verdict({"no-lock": {"exploration": WRITTEN, "discovery": FOUND}}) == "holds"
    assert _verdict({"no-lock": missed}) == "violated"
    assert _verdict({UNMUTATED: {"discovery": FOUND}}) == "violated"


def test_a_block_is_filled_by_its_command_alone() -> None:
    page = (ROOT / PAGE).read_text()
    filled = filled_by(COMMAND, page, "| new |")
    assert f"<!-- made by `{COMMAND}` -->\n| new |\n<!-- end -->" in filled
    assert filled.partition("<!-- end -->")[2] == page.partition("<!-- end -->")[2]
    with pytest.raises(PageError, match="no block"):
        filled_by(COMMAND, "# Page", "| new |")


def test_each_mutant_of_the_page_is_found() -> None:
    """The table was made of a whole run: a row that says otherwise is a bug that discovery misses."""
    _, _, rest = (ROOT / PAGE).read_text().partition(f"<!-- made by `{COMMAND}` -->\n")
    rows = [line.strip("| ").split(" | ") for line in rest.partition("<!-- end -->")[0].splitlines()[3:]]
    assert rows
    assert {row[4].strip() for row in rows} == {"killed"}
