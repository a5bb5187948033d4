"""Of clients that are drawn, one schedule of each class shows whatever every schedule shows.

Between the text of a statement and a schedule that is passed over stand its footprint, the gate, the
scheduler and the reduction. Here all of them are held to what PostgreSQL does. `make fuzz-orders`
draws more.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import replace

import pytest

from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.footprint import Access, Footprint, Mode
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.scenario import UseError
from tests.pgweave.random_clients import Outcome, Program, draw, make_tables, outcomes
from tests.support.postgres import Database

PAIRS = int(os.environ.get("FUZZ_PAIRS", "0"))
SEEDS = random.SystemRandom().sample(range(1 << 32), PAIRS) if PAIRS else range(20, 28)
_TOLD_EVERY = 20


def lost(dsn: str, programs: list[Program]) -> set[Outcome] | None:
    """What only every schedule shows; ``None`` if not every one could be run, or not one of each class."""

    async def both() -> set[Outcome] | None:
        few = await outcomes(dsn, programs, SourceDPOR)
        every = await outcomes(dsn, programs, Naive)
        return None if few.unclear or every.unclear else every.seen - few.seen

    try:
        return asyncio.run(both())
    except UseError:  # a client whose statements are no steps
        return None


def test_no_outcome_of_clients_that_are_drawn_is_lost(empty_database: Database) -> None:
    make_tables(empty_database.dsn)
    compared = 0
    for number, seed in enumerate(SEEDS):
        if PAIRS and number % _TOLD_EVERY == 0:
            sys.stderr.write(f"{number} of {PAIRS} pairs of clients, {compared} compared\n")
        rng = random.Random(seed)
        programs = [draw(rng), draw(rng)]
        missing = lost(empty_database.dsn, programs)
        compared += missing is not None
        assert not missing, "\n".join([f"seed {seed}", *map(str, programs), *map(str, missing or ())])
    assert compared > 0.8 * len(SEEDS)


@pytest.mark.parametrize(("mode", "first"), [(Mode.READ, 11), (Mode.PUBLISH, 11), (Mode.LOCK, 16)])
def test_a_footprint_that_is_too_small_is_found(
    mode: Mode, first: int, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    dependent = Footprint.dependent

    def kept(footprint: Footprint) -> Footprint:
        return replace(footprint, accesses=frozenset(filter(is_kept, footprint.accesses)))

    def is_kept(access: Access) -> bool:
        return access.mode is not mode

    monkeypatch.setattr(Footprint, "dependent", lambda self, other: dependent(kept(self), kept(other)))
    make_tables(empty_database.dsn)
    for seed in range(first, first + 60):
        rng = random.Random(seed)
        if lost(empty_database.dsn, [draw(rng), draw(rng)]):
            return
    pytest.fail("nothing was lost")
