"""Searches for whatever is wrong with the ``payments_core`` that can be imported, by chance and by schedule.

`python -m lab.bench.searching --scenario NAME [--searches N] [--scale F] [--seed TEXT] [--chance-only]`
prints a line of JSON for each search. A process of its own, because it imports a broken copy.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from lab.bench.arrivals import ARRIVALS, Arrivals
from lab.bench.searches import EXPLORER, Search
from lab.bench.uncontrolled import Uncontrolled, uncontrolled
from payments_verify.payments.exploration.scenario import explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.systems import EXPLORING, gated, prepared_database
from pgweave.interleavings.source_dpor import SourceDPOR


async def by_chance(racing: Uncontrolled, arrivals: Arrivals, tries: int) -> Search:
    """Race until a run is wrong, at most ``tries`` times."""
    started = time.perf_counter()
    for number in range(1, tries + 1):
        violation = await racing.attempt(arrivals)
        if violation is not None:
            return Search(
                how=arrivals.name,
                runs=number,
                found=True,
                seconds=time.perf_counter() - started,
                violation=violation.explanation,
            )
    return Search(how=arrivals.name, runs=tries, found=False, seconds=time.perf_counter() - started)


async def by_schedule(scenario: Scenario, dsn: str, folder: Path) -> Search:
    """Explore until a run is wrong, or to the end."""
    async with gated(dsn) as service:
        began = [time.perf_counter()]
        # Every run counts, also those of an exploration that had to begin anew.
        explored = await explore_scenario(
            scenario, service, SourceDPOR, folder, on_run=lambda _runs: began.append(time.perf_counter())
        )
    violation = explored.violation
    return Search(
        how=EXPLORER,
        runs=len(began) - 1,
        found=violation is not None,
        seconds=began[-1] - began[0],
        violation="" if violation is None else violation.explanation,
    )


async def _by_chance(scenario: Scenario, dsn: str, searches: int, scale: float, seed: str) -> None:
    async with uncontrolled(scenario, dsn, random.Random(seed)) as racing:
        for _ in range(searches):
            for arrivals in ARRIVALS:
                _tell(await by_chance(racing, arrivals, max(1, round(arrivals.tries * scale))))


def _tell(search: Search) -> None:
    sys.stdout.write(msgspec.json.encode(search).decode() + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.searching")
    parser.add_argument("--scenario", required=True, choices=list(SCENARIOS))
    parser.add_argument("--searches", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of tries")
    parser.add_argument("--seed", default="0", help="draws when actors begin")
    parser.add_argument("--chance-only", action="store_true", help="leave out the explorer")
    given = parser.parse_args(arguments)
    scenario = SCENARIOS[given.scenario]
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory() as folder,
    ):
        if not given.chance_only:
            with prepared_database(settings=EXPLORING) as dsn:
                for _ in range(given.searches):
                    _tell(runner.run(by_schedule(scenario, dsn, Path(folder))))
        with prepared_database(settings=EXPLORING) as dsn:
            runner.run(_by_chance(scenario, dsn, given.searches, given.scale, given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
