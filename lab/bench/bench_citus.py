"""What a capture and a sweep cost on one server, and on a Citus cluster of three servers of the same machine.

    python -m lab.bench.bench_citus

All servers wait for their disk and stand ready all the time; in each round both have their turn. The
application runs in this process. Needs Citus beside a PostgreSQL of the system.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
import pytest
import typer
from rich.console import Console
from rich.table import Table

from lab.bench.service.processes import cpu_us
from payments_core.application.use_cases import AuthorizePayment, CapturePayment, CreatePayment
from payments_core.domain.capture import Answer, CaptureDecision
from payments_core.domain.values import Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import sweep
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from pgweave.embedded import temporary_postgres
from tests.support.citus import citus_bin_dir, citus_cluster

CLIENTS, BATCH = 16, 100
ONE, CLUSTER = "one server", "coordinator and two workers"
_SHORT, _LONG = CaptureWindow(1), CaptureWindow(600_000_000)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one contestant, in a round or as the median of the rounds.

    Attributes:
        captures_s: captures a second.
        cpu_us: processor time of a capture, in µs, by the part that spends it.
        sweep_ms: how long it took to expire what was due.
    """

    captures_s: float
    cpu_us: Mapping[str, float]
    sweep_ms: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and on how many cores."""

    cores: int
    rounds: list[dict[str, Turn]]

    def median(self, name: str) -> Turn:
        """A contestant's medians."""
        turns = [each[name] for each in self.rounds]
        return Turn(
            captures_s=median(turn.captures_s for turn in turns),
            cpu_us={part: median(turn.cpu_us[part] for turn in turns) for part in turns[0].cpu_us},
            sweep_ms=median(turn.sweep_ms for turn in turns),
        )


def bound(cpu_us: Mapping[str, float], workers: int, cores: int) -> float:
    """Captures a second that a cluster cannot exceed, each node on a machine of its own.

    Every capture is the coordinator's, and one worker's.

    Args:
        cpu_us: processor time of a capture, in µs, by node.
        workers: how many there are.
        cores: how many each machine has.
    """
    of_worker = sum(cost for node, cost in cpu_us.items() if node.startswith("worker"))
    return 1e6 * min(cores / cpu_us["coordinator"], workers * cores / of_worker)


def _answer(decision: CaptureDecision) -> Answer:
    return Answer(201, str(decision.payment.payment_id).encode())


async def _authorized(store: PostgresPaymentStore, count: int, window: CaptureWindow) -> list[UUID]:
    payments = [uuid4() for _ in range(count)]

    async def one(payment: UUID) -> None:
        await CreatePayment(store)(payment, Amount(500))
        await AuthorizePayment(store)(payment, window)

    await _by_clients([one(payment) for payment in payments])
    return payments


async def _by_clients(work: Iterable[Awaitable[None]]) -> None:
    waiting = iter(work)

    async def client() -> None:
        for each in waiting:
            await each

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _turn(dsn: str, processes: Mapping[str, int], captures: int, due: int) -> Turn:
    settings = Settings(database_url=dsn, pool_min=CLIENTS, pool_max=CLIENTS)
    async with make_pool(settings) as pool:
        store = postgres_store(pool)
        capture = CapturePayment(store, _answer)

        async def one(payment: UUID) -> None:
            await capture(payment, IdempotencyKey("key"), Amount(500))

        payments = await _authorized(store, captures, _LONG)
        spent = {part: -cpu_us(pid) for part, pid in processes.items()}
        own = time.process_time()
        began = time.perf_counter()
        await _by_clients([one(payment) for payment in payments])
        seconds = time.perf_counter() - began
        own = 1e6 * (time.process_time() - own)
        cost = {part: (spent[part] + cpu_us(pid)) / captures for part, pid in processes.items()}
        await _authorized(store, due, _SHORT)
        began = time.perf_counter()
        assert await sweep(store, BATCH) == due
        swept = 1000 * (time.perf_counter() - began)
    return Turn(captures_s=captures / seconds, cpu_us={**cost, "application": own / captures}, sweep_ms=swept)


def measured(rounds: int, captures: int, due: int) -> Results:
    """Let both take their turns."""
    found: list[dict[str, Turn]] = []
    with ExitStack() as stack:
        server = stack.enter_context(temporary_postgres(bin_dir=citus_bin_dir(), durable=True))
        cluster = stack.enter_context(citus_cluster(durable=True))
        alone = server.create_database("bench")
        migrate(alone)
        migrate(cluster.dsn)
        distribute(cluster.dsn, session(Settings()))
        nodes = {"coordinator": cluster.coordinator.pid}
        nodes |= {f"worker {number}": worker.pid for number, worker in enumerate(cluster.workers, 1)}
        contestants = [(ONE, alone, {"server": server.pid}), (CLUSTER, cluster.dsn, nodes)]
        for number in range(rounds):
            turns = contestants if number % 2 else contestants[::-1]
            found.append({name: asyncio.run(_turn(dsn, pids, captures, due)) for name, dsn, pids in turns})
    return Results(cores=os.cpu_count() or 1, rounds=found)


def show(results: Results, captures: int, due: int, console: Console) -> None:
    """Print the medians, the ratios, and the model with its terms."""
    one, cluster = results.median(ONE), results.median(CLUSTER)
    table = Table("", ONE, CLUSTER, "ratio")

    def row(name: str, left: float, right: float) -> None:
        table.add_row(name, f"{left:,.0f}", f"{right:,.0f}", f"{right / left:.2f}")

    row("captures a second", one.captures_s, cluster.captures_s)
    servers = [
        {part: cost for part, cost in turn.cpu_us.items() if part != "application"} for turn in (one, cluster)
    ]
    row("CPU of a capture, all servers, µs", sum(servers[0].values()), sum(servers[1].values()))
    for node, cost in servers[1].items():
        row(f"  {node}, beside the one server", servers[0]["server"], cost)
    row("  the application", one.cpu_us["application"], cluster.cpu_us["application"])
    row(f"{due:,} due payments swept, ms", one.sweep_ms, cluster.sweep_ms)
    console.print(table)
    alone = 1e6 * results.cores / one.cpu_us["server"]
    bounds = ", ".join(f"{n}: {bound(servers[1], n, results.cores):,.0f}" for n in (1, 2, 3, 4))
    console.print(
        f"at most, with {results.cores} cores for each server and nothing else there: one server {alone:,.0f}"
        f" captures a second; a coordinator and so many workers, {bounds}",
        highlight=False,
    )
    console.print(
        f"{len(results.rounds)} rounds of {captures:,} captures, {results.cores} cores", highlight=False
    )


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn.")] = 5,
    captures: Annotated[int, typer.Option(min=1, help="In a turn.")] = 2_000,
    due: Annotated[int, typer.Option(min=1, help="Due payments that are swept in a turn.")] = 500,
    json: Annotated[Path | None, typer.Option(help="Where the results go, too.")] = None,
) -> None:
    """Measure both by turns, and print medians.

    Exit codes: 0 measured; 2 it could not be.
    """
    try:
        results = measured(rounds, captures, due)
    except pytest.skip.Exception as missing:
        typer.echo(f"bench-citus: {missing.msg}", err=True)
        raise typer.Exit(2) from None
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    show(results, captures, due, Console(width=130))


if __name__ == "__main__":
    typer.run(main)
