"""What runs have shown of a service, which later runs have to know from their beginning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pgweave.interleavings.report import Report

_BEGINNINGS = 8


@dataclass
class Known:
    """What runs of a race have shown.

    Attributes:
        start_is_read: whether some statement asks when its transaction began: then ``BEGIN`` reads the clock.
        answers_alone: whether some request was answered without a statement: out of a cache, or together with
            another. Then sending a request is a step, for its answer depends on what was done before.
    """

    start_is_read: bool = False
    answers_alone: bool = False


async def until_known(explore: Callable[[], Awaitable[Report]]) -> Report:
    """Explore, from the beginning again whenever a run has shown what the runs before it did not know of."""
    for _ in range(_BEGINNINGS):
        report = await explore()
        if not report.outdated:
            break
    return report
