"""The comparison of two trees of the sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from lab.bench.against import against_table, compared
from lab.bench.speed import SpeedError


def test_the_least_of_all_rounds_is_shown_for_each_tree() -> None:
    def cost(own: float) -> dict[str, float]:
        return {"schedules": 10, "wall": 2 * own, "own": own, "database": 0.01}

    found = {"a race": [(cost(0.04), cost(0.10)), (cost(0.30), cost(0.01))]}
    console = Console(width=150, record=True)
    console.print(against_table(found))
    row = console.export_text().splitlines()[-1].split()
    assert row[:6] == ["a", "race", "10", "8.00", "2.00", "4.00×"]
    assert row[6:9] == ["4.00", "1.00", "4.00×"]


def test_a_tree_that_cannot_be_measured_ends_the_comparison(tmp_path: Path) -> None:
    with pytest.raises(SpeedError, match="no folder model"):
        compared(tmp_path, tmp_path, 1, four=False, tell=lambda _what: None)
