"""The pieces whose cost is measured: the same work is done with each and without."""

from __future__ import annotations

import time

import pytest
import uvloop

from lab.bench.bench_doors import measured
from lab.bench.doors import around, below
from lab.bench.doors.pair import Piece, microseconds

PIECES = [*around.pieces(), *below.pieces()]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_the_work_is_done_with_it_and_without(piece: Piece) -> None:
    for work in (piece.whole, piece.without):
        assert uvloop.run(microseconds(work, 3)) >= 0


async def busy(count: int) -> None:
    end = time.process_time() + count * 2e-4
    while time.process_time() < end:
        pass


async def idle(_count: int) -> None:
    """Do nothing."""


def test_what_takes_longer_with_it_than_without_costs_that() -> None:
    ((whole, without),) = measured([Piece("x", "", "request", busy, idle)], rounds=3, count=50)
    assert whole >= 200
    assert without < 50
