"""How fast the service captures, beside what the database can do and beside the usual stack.

`python -m lab.bench.bench_service --help`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import psycopg
import typer
from rich.console import Console

from lab.bench.figure import RendererMissingError, draw
from lab.bench.service import measuring
from lab.bench.service.chart import chart
from lab.bench.service.database import Database, database, durable_server, template
from lab.bench.service.load import LoadError, find_wrk
from lab.bench.service.measuring import DisagreementError
from lab.bench.service.pgbench import PgbenchError
from lab.bench.service.report import show
from lab.bench.service.results import CONTESTANTS, EARLIER_ONE, ONE, Results, aims, median
from lab.bench.service.servers import COMMANDS, EARLIER, ServerError, earlier
from payments_verify.cli.progress import progress_bar
from pgweave.embedded import EmbeddedPostgres, EmbeddedPostgresError

JSON = Path("build/bench/service.json")
FIGURE = Path("build/bench/service.svg")
Part = Literal["speed", "half", "lives", "memory", "size"]
_NEEDED = ("fastapi", "sqlalchemy", "asyncpg")
_AROUND_S = 5.0
"""What a run takes beside its load, in seconds: a database, a server, its warm-up."""
_STORED_PER_SECOND = 30_000


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
    seconds=5,
    half_seconds=8,
    memory=100_000,
    few=3_000,
    many=1_000_000,
    sized=2_500,
)
QUICK = Scale(rounds=1, seconds=2, half_seconds=3, memory=8_000, few=1_500, many=30_000, sized=1_000)


class UnavailableError(RuntimeError):
    """Something that is needed is not installed; the message says how to get it."""


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round of everything: under two minutes.")
    ] = False,
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


class Step(NamedTuple):
    """A part of the measurement.

    Attributes:
        name: what it does.
        seconds: about how long, where nothing else is at work.
        run: does it.
    """

    name: str
    seconds: float
    run: Callable[[], object]


def _measured(scale: Scale, parts: set[Part]) -> Results:
    results = Results()
    with progress_bar("bench", every_s=15) as progress, durable_server() as postgres, ExitStack() as stack:
        results.postgres = postgres.version
        steps = list(_steps(results, postgres, scale, parts, stack))
        total = sum(step.seconds for step in steps)
        Console(stderr=True).print(f"{len(steps)} steps, about {total / 60:.0f} minutes", highlight=False)
        done = 0.0
        for step in steps:
            progress(int(done), int(total), f"seconds of work, now {step.name}")
            step.run()
            done += step.seconds
    return results


def _steps(
    results: Results, postgres: EmbeddedPostgres, scale: Scale, parts: set[Part], stack: ExitStack
) -> Iterator[Step]:
    """All steps, in order; ``stack`` keeps what several of them use."""
    if "speed" in parts:
        yield Step("do the two stacks answer the same?", 6, partial(measuring.require_agreement, postgres))
        yield from _speed(results, postgres, scale, stack, at_half_load="half" in parts)
    if "lives" in parts:
        yield Step("lives of payments", scale.seconds + 2, lambda: _live(results, postgres, scale))
    if "memory" in parts:
        yield Step(
            f"memory over {scale.memory:,} captures",
            scale.memory / 1_500 + 2,
            lambda: results.samples.extend(measuring.memory_over(postgres, scale.memory)),
        )
    if "size" in parts:
        yield from _size(results, postgres, scale, stack)


def _speed(
    results: Results, postgres: EmbeddedPostgres, scale: Scale, stack: ExitStack, *, at_half_load: bool
) -> Iterator[Step]:
    """Every contestant in each round, each time in another order; in the end half of what it has come to."""
    contestants = [name for name in CONTESTANTS if name != EARLIER_ONE or EARLIER in COMMANDS]
    payments = measuring.payments_for(max(scale.seconds, scale.half_seconds if at_half_load else 0))
    stored: list[str] = []

    def store() -> None:
        stored.append(stack.enter_context(template(postgres, payments)))

    def run(name: str) -> None:
        results.runs.append(measuring.run(postgres, stored[0], name, scale.seconds))

    def half() -> None:
        whole = median(results.runs, ONE, lambda run: run.per_second)
        assert whole is not None, "it has run, or an error would have been raised"
        found = measuring.half_load(postgres, stored[0], whole / 2, scale.half_seconds)
        results.half_loads.append(found)

    yield Step(f"storing {payments:,} payments", payments / _STORED_PER_SECOND, store)
    for number in range(scale.rounds):
        turn = number % len(contestants)
        for name in (*contestants[turn:], *contestants[:turn]):
            said = f"round {number + 1} of {scale.rounds}, {name}"
            yield Step(said, scale.seconds + _AROUND_S, partial(run, name))
        if at_half_load:
            yield Step(f"half load, {number + 1} of {scale.rounds}", scale.half_seconds + _AROUND_S, half)


def _live(results: Results, postgres: EmbeddedPostgres, scale: Scale) -> None:
    results.lifecycle = measuring.lifecycle(postgres, scale.seconds)


def _size(results: Results, postgres: EmbeddedPostgres, scale: Scale, stack: ExitStack) -> Iterator[Step]:
    """Few and many in turn. The many are stored once; each round captures others of them."""
    many: list[Database] = []

    def store() -> None:
        many.append(stack.enter_context(database(postgres, scale.many)))

    def run(number: int) -> None:
        with database(postgres, scale.few) as few:
            results.sized.append(measuring.sized(postgres, few, scale.few, 0, scale.sized))
        results.sized.append(measuring.sized(postgres, many[0], scale.many, number, scale.sized))

    yield Step(f"storing {scale.many:,} payments", scale.many / _STORED_PER_SECOND, store)
    for number in range(scale.rounds):
        said = f"few and many payments, {number + 1} of {scale.rounds}"
        yield Step(said, scale.sized / 500 + 2 * _AROUND_S, partial(run, number))


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
