"""One side of a comparison of two trees: times schedules of its own tree, a line for each that it is asked.

`bench_explore --against DIR` starts it in each tree, by its path, so that the older one need not have it.
Of that tree it uses no more than the parts of `lab.bench` that time schedules.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

# Where these have what they use from is another place in each tree.
bench_explore: Any = import_module("lab.bench.bench_explore")
speed: Any = import_module("lab.bench.speed")
systems: Any = import_module("payments_verify.systems")
BARE = "bare SQL"
SIDE_BY_SIDE = ", side by side"


async def serve(dsn: str) -> None:
    """Answer each name on standard input with what its schedules cost, in seconds."""
    async with AsyncExitStack() as stack:
        # An older tree runs one schedule after the other.
        open_service = getattr(systems, "gated_side_by_side", partial(systems.gated, one_core=False))
        service = await stack.enter_async_context(open_service(dsn))
        raw = await stack.enter_async_context(speed.raw_sessions(speed.database_of(service), dsn))
        _say("ready")
        for line in sys.stdin:
            _say(await _cost(line.strip(), service, raw))


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def _cost(name: str, service: Any, raw: Any) -> dict[str, float]:
    database = speed.database_of(service)
    server = _parent(database.monitor.pid)
    sessions = [session.pid for session in database.gate.sessions]
    name, _, side_by_side = name.partition(SIDE_BY_SIDE)
    two_at_once = bool(side_by_side and getattr(service, "beside", ()))
    if not two_at_once and hasattr(service, "beside"):
        service = replace(service, beside=())
    with nullcontext() if two_at_once else speed.on_one_core([database.monitor.pid, *sessions]):
        before = time.perf_counter(), time.process_time(), _seconds_of_children(server)
        if name == BARE:
            pace, _ = await speed.run_bare(raw, database.monitor)
        else:
            strategy = speed.SourceDPOR if name == speed.FOUR_CLIENTS else speed.Naive
            pace = await vars(speed)["_scenario"](name, service, strategy)
        after = time.perf_counter(), time.process_time(), _seconds_of_children(server)
    wall, own, database_s = (then - now for then, now in zip(after, before, strict=True))
    return {"schedules": pace.schedules, "wall": wall, "own": own, "database": database_s}


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _seconds_of_children(parent: int) -> float:
    """The processor's time of a server's processes that live, and did from the first call on."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if _parent(int(folder.name)) == parent:
                total += int((folder / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


if __name__ == "__main__":
    with (
        bench_explore.prepared_database(settings=bench_explore.EXPLORING) as database_dsn,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(database_dsn))
