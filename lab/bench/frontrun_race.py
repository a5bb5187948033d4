"""Two transfers in opposite directions, as `bench_frontrun` has both tools explore them.

Run as a program by frontrun's own command, it explores them with that, and prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import psycopg

OPENED = {"anna": 10, "ben": 10}
CLOSED = {"anna": 11, "ben": 9}
REPLAYS = 20
READ, WRITE = "SELECT cents FROM accounts WHERE name = %s", "UPDATE accounts SET cents = %s WHERE name = %s"


def setup(dsn: str) -> None:
    """Two accounts, as they were opened."""
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS accounts (name text PRIMARY KEY, cents int NOT NULL)")
        db.execute("TRUNCATE accounts")
        db.cursor().executemany("INSERT INTO accounts VALUES (%s, %s)", list(OPENED.items()))


async def transfer(lock: str, source: str, target: str, cents: int, dsn: str) -> None:
    """Read both accounts, and write both, in the order of their names: so nobody waits in a circle."""
    async with await psycopg.AsyncConnection.connect(dsn) as db:
        found = {}
        for name in sorted((source, target)):
            row = await (await db.execute(f"{READ}{lock}", [name])).fetchone()
            assert row is not None
            found[name] = row[0]
        found[source] -= cents
        found[target] += cents
        for name, new in found.items():
            await db.execute(WRITE, [new, name])


def transfers(lock: str) -> list[Callable[[str], Awaitable[None]]]:
    """The two clients; without a lock both can read before either writes."""
    return [partial(transfer, lock, "anna", "ben", 3), partial(transfer, lock, "ben", "anna", 4)]


def both_are_booked(dsn: str) -> bool:
    """Whether neither transfer is lost."""
    with psycopg.connect(dsn) as db:
        return dict(db.execute("SELECT name, cents FROM accounts").fetchall()) == CLOSED


async def _explored(dsn: str, lock: str, limit_s: float) -> dict[str, object]:
    import frontrun  # noqa: PLC0415 - in its own process alone

    def begin() -> str:
        setup(dsn)
        return dsn

    started = time.perf_counter()
    result = await frontrun.explore(
        setup=begin,
        workers=transfers(lock),
        invariant=both_are_booked,
        preemption_bound=None,  # all orders, as here
        total_timeout=limit_s,
        reproduce_on_failure=REPLAYS,
        detect_sql=True,
    )
    verdict = {True: "holds", False: "violated", None: "no verdict"}[result.property_holds]
    return {
        "verdict": verdict,
        "schedules": result.num_explored,
        "seconds": time.perf_counter() - started,
        "complete": result.exhausted is True or result.property_holds is True,
        "replayed": result.reproduction_successes,
        "reason": result.inconclusive_reason or "",
    }


def main() -> None:
    """Explore with frontrun: the database, the lock and the seconds it may take are the arguments."""
    dsn, lock, limit_s = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(_explored(dsn, lock, float(limit_s)))) + "\n")


if __name__ == "__main__":
    main()
