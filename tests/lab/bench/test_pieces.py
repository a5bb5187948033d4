"""What each piece of our own saves: the same captures are made with it and with a library in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import uvloop

from lab.bench.bench_pieces import against, lines, saved
from lab.bench.doors import captures
from lab.bench.doors.captures import WARM_UP, OwnPiece
from lab.bench.service.database import Database as Payments
from tests.support.postgres import Database


@pytest.mark.parametrize("piece", list(captures.pieces()), ids=lambda piece: piece.name)
def test_payments_are_captured_without_it(piece: OwnPiece, database: Database) -> None:
    payments = Payments(database.dsn)
    payments.add_authorized(0, WARM_UP + 20)
    with captures.quiet(), piece.replaced():
        assert uvloop.run(captures.microseconds(database.dsn, 0, 20)) > 0
    assert payments.captured() == WARM_UP + 20
    assert lines(piece) > 0


def test_what_costs_more_without_it_saves_that() -> None:
    assert saved([(100.0, 150.0), (200.0, 240.0), (100.0, 100.0)]) == (40.0, "1.20 (1.00 to 1.50)")


def test_two_versions_capture_in_turns() -> None:
    pairs = against(Path(__file__).parents[3], rounds=2, count=10)
    assert len(pairs) == 2
    assert all(ours > 0 and other > 0 for ours, other in pairs)
