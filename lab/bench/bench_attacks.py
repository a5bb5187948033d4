"""Whether valid captures are answered while somebody attacks, one attack after the other.

To add one, see the package `lab.bench.attacks`. `python -m lab.bench.bench_attacks --help`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from lab.bench.attacks import connections, payments
from lab.bench.attacks.attack import Attack, Target, Told
from lab.bench.attacks.load import Load, offer, payment
from lab.bench.attacks.servers import COMMANDS
from lab.bench.service.database import database, durable_server
from lab.bench.service.processes import cpu_us, memory
from lab.bench.service.servers import EARLIER, SERVICE, TOKEN, Command, ServerError, earlier, serving
from pgweave.embedded import EmbeddedPostgres

JSON = Path("build/bench/attacks.json")
_WARM_UP_S = 2.0
_END_LIMIT_S = 30.0

ATTACKS: Mapping[str, Attack] = {
    "none": Attack(None),
    "257 that do not read": Attack(connections.unread),
    "200 that are idle, 128 files": Attack(connections.idle, files=128),
    "2,000 that are idle": Attack(connections.many_idle),
    "2,000 that begin a head": Attack(connections.many_begun),
    "300 slow heads": Attack(connections.slow_heads),
    "300 slow bodies": Attack(connections.slow_bodies),
    "requests without an end": Attack(connections.flood),
    "a locked payment, 200 captures": Attack(payments.locked),
    "1,000 refusals, and more": Attack(payments.refused),
    "60,000 refusals, listed": Attack(payments.listed),
}


class Measured(msgspec.Struct, frozen=True):
    """One attack, and what became of the captures meanwhile.

    Attributes:
        server: which was attacked.
        attack: its name.
        load: what became of the captures.
        server_us: processor time of the service meanwhile, in µs.
        mebibytes: memory of the service at the end.
    """

    server: str
    attack: str
    load: Load
    server_us: int
    mebibytes: float


def main(
    seconds: Annotated[float, typer.Option(min=1, help="Length of each attack.")] = 15.0,
    per_second: Annotated[float, typer.Option(min=1, help="Captures a second.")] = 100.0,
    attack: Annotated[list[str] | None, typer.Option(help="Only this; repeat for more.")] = None,
    server: Annotated[str, typer.Option(help=f"One of {', '.join(COMMANDS)}.")] = SERVICE,
    against: Annotated[Path | None, typer.Option(help="A checkout of an earlier version, by turns.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is attacked.")] = 1,
    json: Annotated[Path, typer.Option(help="Where the results go.")] = JSON,
) -> None:
    """Attack, and write a table and JSON.

    Exit codes: 0 it was measured, 2 it could not be.
    """
    chosen = attack or list(ATTACKS)
    unknown = set(chosen) - set(ATTACKS)
    if unknown or server not in COMMANDS:
        Console(stderr=True).print(f"attacks are {list(ATTACKS)}, servers {list(COMMANDS)}", markup=False)
        raise typer.Exit(2)
    console = Console(width=130)
    commands = dict(COMMANDS) if against is None else {**COMMANDS, EARLIER: earlier(against.absolute())}
    servers = [server] if against is None else [EARLIER, server]
    try:
        with durable_server() as postgres:
            found = [
                _measure(postgres, commands, name, each, seconds, per_second)
                for each in chosen
                for _ in range(rounds)
                for name in servers
            ]
    except ServerError as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(2) from None
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.encode(found))
    console.print(_table(seconds, found))


def _measure(
    postgres: EmbeddedPostgres,
    commands: Mapping[str, Command],
    server: str,
    name: str,
    seconds: float,
    per_second: float,
) -> Measured:
    attack = ATTACKS[name]
    numbers = count()
    made_payments = round((seconds + _WARM_UP_S) * per_second) + 3
    with (
        database(postgres, made_payments) as made,
        serving(server, made.dsn, 1, commands, attack.settings, attack.files) as running,
    ):
        port = int(running.url.rpartition(":")[2])

        def load(length_s: float) -> Load:
            some = [next(numbers) for _ in range(round(length_s * per_second))]
            return asyncio.run(offer(port, TOKEN, some, per_second))

        load(_WARM_UP_S)
        with _attacked(attack.run, Target(port, TOKEN, made.dsn, payment(made_payments - 1))):
            before = cpu_us(running.pid)
            found = load(seconds)
            return Measured(server, name, found, cpu_us(running.pid) - before, memory(running.pid) / 2**20)


@contextmanager
def _attacked(run: Callable[[Target, Told], None] | None, target: Target) -> Iterator[None]:
    if run is None:
        yield
        return
    context = get_context("spawn")
    told = Told(context.Event(), context.Event())
    attacker = context.Process(target=run, args=(target, told))
    attacker.start()
    try:
        while not told.under_way.wait(0.1):
            if not attacker.is_alive():
                raise ServerError("the attack did not begin: its error stands above")
        yield
    finally:
        told.over.set()
        attacker.join(_END_LIMIT_S)
        if attacker.is_alive():
            attacker.kill()


def _table(seconds: float, found: list[Measured]) -> Table:
    table = Table(title=f"{seconds:g} s each")
    for heading in (
        "server",
        "attack",
        "captures",
        "captured",
        "else",
        "p50 ms",
        "p99 ms",
        "server ms/s",
        "MiB",
    ):
        table.add_column(heading, justify="left" if heading in {"server", "attack", "else"} else "right")
    for each in found:
        load = each.load
        others = ", ".join(
            f"{n} x {status}" for status, n in sorted(load.outcomes.items()) if status != "201"
        )
        times = [load.percentile(share) for share in (0.5, 0.99)]
        table.add_row(
            each.server,
            each.attack,
            f"{load.offered:,}",
            f"{load.captured / load.offered:.1%}",
            others,
            *["" if time is None else f"{time / 1e3:,.1f}" for time in times],
            f"{each.server_us / 1e3 / seconds:,.0f}",
            f"{each.mebibytes:.0f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
