"""What was measured, and what is made of it: medians, ratios, and whether the aims were reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

PGBENCH = "pgbench, two pipelines"
PGBENCH_ONE = "pgbench, one pipeline"
ONE, TWO = "payments-core, 1 process", "payments-core, 2 processes"
EARLIER_ONE = "the earlier version, 1 process"
OTHER_ONE, OTHER_TWO = "FastAPI + SQLAlchemy, 1 process", "FastAPI + SQLAlchemy, 2 processes"
FLOOR_ONE = "the floor in Python, 1 process"
CONTESTANTS = (PGBENCH_ONE, PGBENCH, FLOOR_ONE, TWO, ONE, EARLIER_ONE, OTHER_TWO, OTHER_ONE)
"""In the order in which they stand; the earlier version takes part where one is named."""
BUSY = 0.1
"""The share of the machine in the hands of others from which on a run says little."""


class MeasuredRun(msgspec.Struct, frozen=True, kw_only=True):
    """Captures of one contestant, as fast as it can.

    Attributes:
        name: the contestant.
        captures: how many.
        per_second: the same by time.
        p50, p99, p999: percentiles of the time until the answer, in µs.
        server_us: processor time of the server's processes for each capture, in µs; 0 if it has none.
        database_us: the same of PostgreSQL's processes.
        others: the share of the machine's processors that was used by none of them, nor by the load.
        hot: the share of updates that touched no index.
    """

    name: str
    captures: int
    per_second: float
    p50: float
    p99: float
    p999: float
    server_us: float
    database_us: float
    others: float
    hot: float


class HalfLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Captures at half the rate that the service can do, from when each was to be sent to its answer.

    Attributes:
        rate: captures a second that were to be sent.
        captures: how many were answered.
        per_second: the same by time.
        p50, p99, p999: percentiles, in µs.
        others: as of a `MeasuredRun`.
    """

    rate: float
    captures: int
    per_second: float
    p50: float
    p99: float
    p999: float
    others: float


class Sample(msgspec.Struct, frozen=True):
    """The memory of a server, in bytes, after so many captures."""

    captures: int
    memory: int


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of a capture with so many payments stored, as of a `MeasuredRun`."""

    payments: int
    server_us: float
    database_us: float
    others: float

    @property
    def cost_us(self) -> float:
        """Processor time of server and database together."""
        return self.server_us + self.database_us


class Lifecycle(msgspec.Struct, frozen=True):
    """Updates while payments were created, authorized and captured over HTTP."""

    payments: int
    updates: int
    hot: int


class Results(msgspec.Struct, kw_only=True):
    """Everything that was measured; what was not is empty.

    Attributes:
        postgres: the server's version.
        runs: of the rounds.
        half_loads: the runs at half load.
        samples: of the server's memory.
        sized: with few and many payments.
        lifecycle: for the share of HOT updates.
    """

    postgres: str = ""
    runs: list[MeasuredRun] = []
    half_loads: list[HalfLoad] = []
    samples: list[Sample] = []
    sized: list[Sized] = []
    lifecycle: Lifecycle | None = None


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that was set beforehand, and the one that was measured."""

    text: str
    limit: float
    measured: float
    sense: Literal["at most", "at least"]
    unit: str

    @property
    def reached(self) -> bool:
        """Whether the measured figure is on the right side; the limit itself is."""
        return self.measured <= self.limit if self.sense == "at most" else self.measured >= self.limit


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or the share is not above 0 and at most 1.
    """
    found = sorted(values)
    if not found or not 0 < share <= 1:
        raise ValueError(f"no percentile {share} of {len(found)} values")
    rank = -int(-share * len(found) // 1)  # rounded up
    return found[max(rank, 1) - 1]


def median(runs: Sequence[MeasuredRun], name: str, of: Callable[[MeasuredRun], float]) -> float | None:
    """The median over the rounds of something of a contestant; None if it did not take part."""
    values = [of(run) for run in runs if run.name == name]
    return statistics.median(values) if values else None


def ratio(runs: Sequence[MeasuredRun], of: str, to: str) -> float | None:
    """How many times the captures a second of another contestant: the ratio of the medians."""
    above = median(runs, of, lambda run: run.per_second)
    below = median(runs, to, lambda run: run.per_second)
    return None if above is None or not below else above / below


def growth(samples: Sequence[Sample]) -> float:
    """By which part of it the memory grew, from a tenth of the captures to the end; medians of a tenth each.

    Raises:
        ValueError: there are too few samples to say.
    """
    last = samples[-1].captures if samples else 0
    early = [sample.memory for sample in samples if last * 0.1 <= sample.captures < last * 0.2]
    late = [sample.memory for sample in samples if sample.captures >= last * 0.9]
    if not early or not late:
        raise ValueError("too few samples of the memory")
    before = statistics.median(early)
    return (statistics.median(late) - before) / before


def size_cost(sized: Sequence[Sized]) -> float:
    """How much more a capture costs with the most payments than with the fewest: ratio of medians, less 1.

    Raises:
        ValueError: there is only one number of payments.
    """
    few, many = min(one.payments for one in sized), max(one.payments for one in sized)
    if few == many:
        raise ValueError("only one number of payments was measured")
    costs = {
        payments: statistics.median(one.cost_us for one in sized if one.payments == payments)
        for payments in (few, many)
    }
    return (costs[many] - costs[few]) / costs[few]


def aims(results: Results) -> list[Aim]:
    """What was to be reached, of what was measured."""
    found: list[Aim] = []

    def aim(
        text: str, measured: float | None, sense: Literal["at most", "at least"], limit: float, unit: str
    ) -> None:
        if measured is not None:
            found.append(Aim(text=text, limit=limit, measured=measured, sense=sense, unit=unit))

    runs = results.runs
    aim("CPU of the server for a capture", median(runs, ONE, lambda run: run.server_us), "at most", 350, "µs")
    share = ratio(runs, ONE, PGBENCH)
    aim("throughput, of pgbench's", None if share is None else 100 * share, "at least", 35, "%")
    aim("throughput, times the other stack's", ratio(runs, ONE, OTHER_ONE), "at least", 3, "×")
    if results.half_loads:
        p99 = statistics.median(one.p99 for one in results.half_loads)
        aim("p99 at half load", p99 / 1e3, "at most", 10, "ms")
    if results.lifecycle:
        hot = 100 * results.lifecycle.hot / results.lifecycle.updates
        aim("HOT updates", hot, "at least", 95, "%")
    if results.samples:
        aim("growth of the memory", 100 * growth(results.samples), "at most", 5, "%")
    if results.sized:
        aim("more CPU with the most payments", 100 * size_cost(results.sized), "at most", 20, "%")
    return found
