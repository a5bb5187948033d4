"""Percentiles, medians, ratios, and what counts as reached."""

from __future__ import annotations

import pytest

from lab.bench.service.results import (
    ONE,
    OTHER_ONE,
    PGBENCH,
    TWO,
    Aim,
    HalfLoad,
    Lifecycle,
    MeasuredRun,
    Results,
    Sample,
    Sized,
    aims,
    growth,
    median,
    percentile,
    ratio,
    size_cost,
)

MIB = 2**20


def run(name: str, per_second: float, server_us: float = 300.0, others: float = 0.0) -> MeasuredRun:
    return MeasuredRun(
        name=name,
        captures=1_000,
        per_second=per_second,
        p50=1_000,
        p99=2_000,
        p999=3_000,
        server_us=server_us,
        database_us=200,
        others=others,
        hot=1.0,
    )


def half(p99: float) -> HalfLoad:
    return HalfLoad(rate=500, captures=1, per_second=500, p50=1_000, p99=p99, p999=9_000, others=0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (0.999, 100), (1, 100), (0.001, 1)]
)
def test_a_percentile_is_the_value_of_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(reversed(range(1, 101)), share) == expected


def test_one_value_is_every_percentile() -> None:
    assert [percentile([7], share) for share in (0.001, 0.5, 1)] == [7, 7, 7]


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1], 0), ([1], 1.1), ([1], -0.5)])
def test_there_is_no_percentile_of_nothing_or_of_nonsense(values: list[int], share: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, share)


def test_a_ratio_is_that_of_the_medians_not_the_median_of_ratios() -> None:
    runs = [run(ONE, 10), run(ONE, 20), run(ONE, 90), run(PGBENCH, 100), run(PGBENCH, 50), run(PGBENCH, 10)]
    assert ratio(runs, ONE, PGBENCH) == 20 / 50
    assert ratio(runs, PGBENCH, ONE) == 50 / 20


def test_who_did_not_take_part_has_no_ratio_and_no_median() -> None:
    runs = [run(ONE, 10)]
    assert ratio(runs, ONE, PGBENCH) is None
    assert ratio(runs, PGBENCH, ONE) is None
    assert median(runs, TWO, lambda one: one.per_second) is None


def test_growth_is_from_the_second_tenth_to_the_last() -> None:
    samples = [Sample(1, 10 * MIB), Sample(10_000, 50 * MIB), Sample(15_000, 52 * MIB)]
    samples += [Sample(50_000, 99 * MIB), Sample(95_000, 56 * MIB), Sample(100_000, 60 * MIB)]
    assert growth(samples) == pytest.approx(58 / 51 - 1)


@pytest.mark.parametrize("samples", [[], [Sample(100, MIB)], [Sample(1, MIB), Sample(100, MIB)]])
def test_growth_needs_samples_of_both_ends(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="too few samples"):
        growth(samples)


def sized(payments: int, server_us: float, database_us: float) -> Sized:
    return Sized(payments=payments, server_us=server_us, database_us=database_us, others=0)


def test_the_cost_of_size_is_of_server_and_database_together() -> None:
    found = [sized(3_000, 300, 200), sized(3_000, 310, 190), sized(3_000, 900, 900)]
    found += [sized(3_000_000, 300, 300), sized(3_000_000, 0, 0), sized(3_000_000, 400, 200)]
    assert size_cost(found) == pytest.approx(600 / 500 - 1)
    with pytest.raises(ValueError, match="only one number"):
        size_cost(found[:3])


def results() -> Results:
    return Results(
        runs=[run(ONE, 350, server_us=350), run(PGBENCH, 1_000), run(OTHER_ONE, 350 / 3)],
        half_loads=[half(10_000)],
        samples=[Sample(15, 100 * MIB), Sample(100, 105 * MIB)],
        sized=[sized(3, 50, 50), sized(3_000, 60, 60)],
        lifecycle=Lifecycle(payments=50, updates=100, hot=95),
    )


def test_every_aim_is_reached_at_its_limit() -> None:
    found = aims(results())
    assert [(aim.limit, aim.unit) for aim in found] == [
        (350, "µs"),
        (35, "%"),
        (3, "×"),
        (10, "ms"),
        (95, "%"),
        (5, "%"),
        (20, "%"),
    ]
    assert [round(aim.measured, 6) for aim in found] == [aim.limit for aim in found]


def test_every_aim_is_missed_beyond_its_limit() -> None:
    beyond = results()
    beyond.runs = [run(ONE, 349, server_us=351), run(PGBENCH, 1_000), run(OTHER_ONE, 350 / 2.9)]
    beyond.half_loads = [half(10_001)]
    beyond.samples[-1] = Sample(100, 106 * MIB)
    beyond.sized[-1] = sized(3_000, 61, 60)
    beyond.lifecycle = Lifecycle(payments=50, updates=100, hot=94)
    assert [aim.reached for aim in aims(beyond)] == [False] * 7


def test_what_was_not_measured_is_no_aim() -> None:
    assert aims(Results()) == []


@pytest.mark.parametrize(
    ("sense", "measured", "reached"),
    [
        ("at most", 1, True),
        ("at most", 2, True),
        ("at most", 3, False),
        ("at least", 3, True),
        ("at least", 1, False),
    ],
)
def test_the_sense_of_an_aim(sense: str, measured: float, reached: bool) -> None:
    aim = Aim(text="", limit=2, measured=measured, sense=sense, unit="")  # type: ignore[arg-type]
    assert aim.reached is reached
