"""How soon the service serves again, by itself, once its primary is lost and the standby is promoted.

    python -m lab.bench.bench_failover

Two processes of the service under load know both hosts. The time is from when the promotion begins until each
process has made a payment; the promotion is part of it.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

from rich.console import Console

from payments_verify.nemesis.judge import judge
from payments_verify.nemesis.window import Pace, history_file, play
from tests.support.failover import PrimaryKilled, PrimarySilent, two_hosts

ROUNDS = 3


async def _measure(kind: type[PrimaryKilled], number: int, folder: Path) -> None:
    async with two_hosts(directly=kind is PrimaryKilled) as hosts:
        report, _ = await play(hosts, number, [kind], folder, random.Random(number), Pace(lead=0.7, tail=0.5))
    [incident] = report.incidents
    lost = incident.ended - incident.began
    served = "not within 20 s" if incident.served_again is None else f"{incident.served_again:.1f} s later"
    verdict = judge(history_file(folder, number)).verdict
    Console().print(f"{kind.name}, promoted {lost:.1f} s later: served again {served}; {verdict}")


def main() -> None:
    """Measure both ways to lose a primary, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for place, kind in enumerate((PrimaryKilled, PrimarySilent)):
                asyncio.run(_measure(kind, 2 * number + place, Path(folder)))


if __name__ == "__main__":
    main()
