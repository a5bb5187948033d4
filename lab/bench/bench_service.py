"""How fast the service captures, beside what the database can do and beside the usual stack.

`python -m lab.bench.bench_service --help`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import psycopg
import typer
from rich.console import Console

from lab.bench.figure import RendererMissingError, draw
from lab.bench.service import measuring
from lab.bench.service.chart import chart
from lab.bench.service.database import database, durable_server
from lab.bench.service.load import LoadError, find_wrk
from lab.bench.service.measuring import DisagreementError
from lab.bench.service.pgbench import PgbenchError
from lab.bench.service.report import show
from lab.bench.service.results import CONTESTANTS, EARLIER_ONE, ONE, Results, aims, median
from lab.bench.service.servers import COMMANDS, EARLIER, ServerError, earlier
from payments_verify.cli.running import Report, progress_bar
from pgweave.embedded import EmbeddedPostgres, EmbeddedPostgresError

JSON = Path("build/bench/service.json")
FIGURE = Path("build/bench/service.svg")
Part = Literal["speed", "half", "lives", "memory", "size"]
_NEEDED = ("fastapi", "sqlalchemy", "asyncpg")


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        rounds: of the contestants and of half load, and with few and many payments.
        seconds: of each run.
        half_seconds: of each run at half load.
        memory: captures over which the memory is looked at.
        few, many: payments that are stored.
        sized: captures with few and with many payments stored.
    """

    rounds: int
    seconds: int
    half_seconds: int
    memory: int
    few: int
    many: int
    sized: int


FULL = Scale(
    rounds=5,
    seconds=8,
    half_seconds=12,
    memory=200_000,
    few=3_000,
    many=3_000_000,
    sized=2_500,
)
QUICK = Scale(rounds=1, seconds=2, half_seconds=4, memory=8_000, few=1_500, many=30_000, sized=1_000)


class UnavailableError(RuntimeError):
    """Something that is needed is not installed; the message says how to get it."""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One short round of everything.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds, an odd number.  [default: 5]")] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this: speed, half (which needs speed), lives, memory or size; repeat for more."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A checkout of an earlier version, which takes its turn.")
    ] = None,
    read: Annotated[Path | None, typer.Option(help="Measure nothing: show this file.")] = None,
    json: Annotated[Path, typer.Option(help="Where the results go.")] = JSON,
    figure: Annotated[Path, typer.Option(help="Where the figure goes.")] = FIGURE,
) -> None:
    """Measure, and write tables, JSON and a figure.

    Exit codes: 0 measured, and every aim was reached; 1 an aim was missed; 2 it could not be measured.
    """
    console = Console(width=130)
    scale = QUICK if quick else FULL
    if rounds is not None:
        scale = msgspec.structs.replace(scale, rounds=rounds)
    try:
        parts = _parts(part)
        if read is not None:
            results = msgspec.json.decode(read.read_bytes(), type=Results)
        else:
            require_programs()
            if against is not None:
                COMMANDS[EARLIER] = earlier(against.absolute())
            results = _measured(scale, parts)
    except (
        DisagreementError,
        EmbeddedPostgresError,
        LoadError,
        OSError,
        PgbenchError,
        ServerError,
        UnavailableError,
        msgspec.MsgspecError,
        psycopg.Error,
    ) as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(2) from None
    _write(results, json, figure, console)
    show(results, console)
    if not all(aim.reached for aim in aims(results)):
        raise typer.Exit(1)


def require_programs() -> None:
    """See that what is needed beside this repository's own packages is there.

    Raises:
        LoadError, UnavailableError: it is not.
    """
    find_wrk()
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} cannot be imported; `make bench-service` installs them")


def _parts(named: list[str] | None) -> set[Part]:
    known: set[Part] = {"speed", "half", "lives", "memory", "size"}
    chosen = {each for each in known if not named or each in named}
    unknown = set(named or ()) - known
    if unknown or ("half" in chosen and "speed" not in chosen):
        raise UnavailableError(
            f"the parts are {', '.join(sorted(known))}; half is half of what speed finds, and needs it"
        )
    return chosen


def _measured(scale: Scale, parts: set[Part]) -> Results:
    results = Results()
    with progress_bar("bench") as progress, durable_server() as postgres:
        results.postgres = postgres.version
        if "speed" in parts:
            _speed(results, postgres, scale, progress, at_half_load="half" in parts)
        if "lives" in parts:
            progress(0, 1, "lives of payments")
            results.lifecycle = measuring.lifecycle(postgres, scale.seconds)
        if "memory" in parts:
            results.samples = measuring.memory_over(
                postgres, scale.memory, lambda second: progress(0, 1, f"memory, {second} s")
            )
        if "size" in parts:
            _size(results, postgres, scale, progress)
    return results


def _speed(
    results: Results, postgres: EmbeddedPostgres, scale: Scale, progress: Report, *, at_half_load: bool
) -> None:
    """Every contestant in each round, each time in another order; in the end half of what it has come to."""
    progress(0, 1, "do the two stacks answer the same?")
    measuring.require_agreement(postgres)
    contestants = [name for name in CONTESTANTS if name != EARLIER_ONE or EARLIER in COMMANDS]
    total, done = scale.rounds * (len(contestants) + at_half_load), count(1)
    for number in range(scale.rounds):
        turn = number % len(contestants)
        for name in (*contestants[turn:], *contestants[:turn]):
            found = measuring.run(postgres, name, scale.seconds)
            results.runs.append(found)
            progress(next(done), total, f"{name}: {found.per_second:,.0f} captures a second")
        if at_half_load:
            whole = median(results.runs, ONE, lambda run: run.per_second)
            assert whole is not None, "it has run, or an error would have been raised"
            half = measuring.half_load(postgres, whole / 2, scale.half_seconds)
            results.half_loads.append(half)
            progress(next(done), total, f"half load: p99 {half.p99 / 1e3:.1f} ms")


def _size(results: Results, postgres: EmbeddedPostgres, scale: Scale, progress: Report) -> None:
    """Few and many in turn. The many are stored once; each round captures others of them."""
    progress(0, 1, f"storing {scale.many:,} payments")
    with database(postgres, scale.many) as many:
        for number in range(scale.rounds):
            with database(postgres, scale.few) as few:
                results.sized.append(measuring.sized(postgres, few, scale.few, 0, scale.sized))
            results.sized.append(measuring.sized(postgres, many, scale.many, number, scale.sized))
            progress(number + 1, scale.rounds, "few and many payments")


def _write(results: Results, json: Path, figure: Path, console: Console) -> None:
    _put(json, msgspec.json.format(msgspec.json.encode(results)) + b"\n", console)
    if results.runs:
        _draw(lambda: draw(chart(results.runs)), figure, console)


def _draw(drawn: Callable[[], str], figure: Path, console: Console) -> None:
    try:
        _put(figure, drawn().encode(), console)
    except RendererMissingError as error:
        console.print(f"no figure: {error}", highlight=False)


def _put(path: Path, content: bytes, console: Console) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    console.print(f"wrote {path}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
