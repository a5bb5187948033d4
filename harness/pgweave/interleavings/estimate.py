"""How many schedules there are without reduction, estimated from random ones.

The method is Knuth's ("Estimating the Efficiency of Backtrack Programs", Mathematics of Computation 1975):
walk down the tree of schedules at random. The product of the numbers of branches on the way is an unbiased
estimate of the number of leaves.
"""

from __future__ import annotations

import math

from pgweave.interleavings.execution import Program
from pgweave.interleavings.randomized import Uniform
from pgweave.interleavings.report import NaiveCount
from pgweave.interleavings.strategy import PlanRun, SchedulePlan, perform


async def estimate_naive(program: Program, *, probes: int, seed: int) -> NaiveCount:
    """Estimate the number of schedules.

    Args:
        program: whose schedules.
        probes: how many random schedules to run.
        seed: where they come from.

    Raises:
        SchedulingError: A run could not go on.
    """
    if probes < 1:
        raise ValueError(f"an estimate needs a probe: {probes}")
    runs = [
        await perform(program, SchedulePlan((), Uniform(seed + one), seed + one)) for one in range(probes)
    ]
    return estimate(runs)


def estimate(runs: list[PlanRun]) -> NaiveCount:
    """Estimate the number of schedules from complete runs, each step of which was chosen at random."""
    leaves = [math.prod(len(situation.ready) for situation in run.situations) for run in runs]
    mean = sum(leaves) / len(leaves)
    spread = sum((one - mean) ** 2 for one in leaves) / max(1, len(leaves) - 1)
    return NaiveCount(mean, "estimated", len(leaves), math.sqrt(spread / len(leaves)))
