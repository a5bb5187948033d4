"""When the actors of an uncontrolled race begin."""

from __future__ import annotations

import random

import pytest

from lab.bench.arrivals import ARRIVALS, BARRIER, JITTER_100, Arrivals
from payments_verify.payments.scenarios.catalogue import SCENARIOS

_ACTORS = SCENARIOS["different-keys-and-tick"].actors


def test_a_barrier_lets_clients_go_at_one_instant_and_the_clock_at_any() -> None:
    rng = random.Random(1)
    ticks = set()
    for _ in range(50):
        first, second, tick = BARRIER.starts(_ACTORS, rng)
        assert first == second == pytest.approx(0.010)
        ticks.add(tick)
    assert len(ticks) == 50
    assert min(ticks) < 0.010 < max(ticks) <= 0.020


def test_jitter_spreads_everybody_over_its_whole_time() -> None:
    rng = random.Random(1)
    starts = [start for _ in range(200) for start in JITTER_100.starts(_ACTORS, rng)]
    assert 0 <= min(starts) < 0.005
    assert 0.095 < max(starts) <= 0.100


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=lambda arrivals: arrivals.name)
def test_the_same_seed_draws_the_same_starts(arrivals: Arrivals) -> None:
    drawn = [arrivals.starts(_ACTORS, random.Random(7)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert 0 <= arrivals.held(random.Random(7)) < 0.020
