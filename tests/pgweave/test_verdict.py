"""One vocabulary: three verdicts, what several of them come to, and exit codes."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from pgweave import outermost
from pgweave.verdict import EXIT_CODES, Verdict, worst


def test_each_verdict_has_its_exit_code() -> None:
    assert dict(EXIT_CODES) == {"holds": 0, "violated": 1, "no verdict": 2}
    assert tuple(EXIT_CODES) == get_args(Verdict)
    assert EXIT_CODES["no verdict"] == outermost.NO_VERDICT


@pytest.mark.parametrize("pair", list(product(get_args(Verdict), repeat=2)))
def test_a_violation_outranks_its_absence_and_that_what_holds(pair: tuple[str, str]) -> None:
    expected = next(each for each in ("violated", "no verdict", "holds") if each in pair)
    assert worst(pair) == worst([*pair, pair[0]]) == expected


def test_on_nothing_there_is_no_verdict() -> None:
    assert worst([]) == "no verdict"


def test_what_is_no_verdict_does_not_hold() -> None:
    assert worst(["holds", "not run"]) == "no verdict"
    assert worst(["not run", "violated"]) == "violated"
