"""Which faults happen when: all in turn, and two together only where they do not disturb each other."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

from payments_verify.nemesis.catalog import FAULTS, SLICE
from payments_verify.nemesis.soak import drawn

KINDS = list(FAULTS.values())


def test_every_fault_comes_in_turn_and_some_in_pairs() -> None:
    plans = list(islice(drawn(KINDS, random.Random(1)), 10 * len(KINDS)))
    first = Counter(plan[0] for plan in plans)
    assert set(first.values()) == {10}
    pairs = [plan for plan in plans if len(plan) == 2]
    assert 0.15 < len(pairs) / len(plans) < 0.45
    assert all(one.side != other.side for one, other in pairs)
    assert {len(plan) for plan in plans} == {1, 2}


def test_a_seed_draws_the_same_again() -> None:
    one, same, other = (list(islice(drawn(KINDS, random.Random(seed)), 50)) for seed in (7, 7, 8))
    assert one == same != other


def test_without_faults_there_is_load_alone() -> None:
    assert list(islice(drawn([], random.Random(1)), 3)) == [[], [], []]


def test_faults_say_what_they_are() -> None:
    assert set(SLICE) <= set(FAULTS)
    assert all(name == kind.name and kind.about for name, kind in FAULTS.items())
    assert all(0 <= kind.hold_s[0] <= kind.hold_s[1] <= 15 for kind in KINDS)


def test_the_slice_needs_no_privilege() -> None:
    assert [FAULTS[name].missing() for name in SLICE] == [None] * len(SLICE)
