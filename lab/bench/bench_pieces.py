"""What each piece of our own saves a capture, beside what a library has in its place; or a whole version.

`python -m lab.bench.bench_pieces`: µs of processor time of the service's process, in rounds by turns.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

import payments_core
from lab.bench.doors import captures
from lab.bench.doors.captures import WARM_UP, OwnPiece
from lab.bench.doors.versions import Version
from lab.bench.service.database import Database
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.cli.progress import Report, progress_bar
from pgweave.embedded import temporary_postgres

_ROOT = Path(__file__).parents[2]
Pairs = list[tuple[float, float]]
"""The µs of a capture as it is and without a piece, of each round."""


def measured(pieces: Sequence[OwnPiece], rounds: int, count: int) -> list[Pairs]:
    """What a capture costs as it is and without each piece.

    In each round the service as it is has a turn beside each piece, now before and now after.
    """
    found: list[Pairs] = [[] for _ in pieces]
    with temporary_postgres() as server, captures.quiet(), progress_bar("bench") as progress:
        database = Database(server.create_database("pieces"))
        migrate(database.dsn)
        first = 0

        def cost() -> float:
            nonlocal first
            database.add_authorized(first, WARM_UP + count)
            first += WARM_UP + count
            return uvloop.run(captures.microseconds(database.dsn, first - WARM_UP - count, count))

        for number in range(rounds):
            for at, (piece, times) in enumerate(zip(pieces, found, strict=True)):
                progress(number * len(pieces) + at, rounds * len(pieces), piece.name)
                ours = cost() if number % 2 else None
                with piece.replaced():
                    without = cost()
                times.append((cost() if ours is None else ours, without))
    return found


def against(folder: Path, rounds: int, count: int) -> Pairs:
    """What a capture costs by HTTP as it is, and in another version, each in its turn of every round."""
    with temporary_postgres() as server, captures.quiet(), progress_bar("bench") as progress:
        versions = []
        for name, each in (("ours", _ROOT), ("other", folder)):
            database = Database(server.create_database(name))
            migrate(database.dsn)
            database.add_authorized(0, WARM_UP + rounds * count)
            versions.append(Version(each, database.dsn))
        return uvloop.run(_in_turns(versions, rounds, count, progress))


async def _in_turns(versions: Sequence[Version], rounds: int, count: int, progress: Report) -> Pairs:
    found: Pairs = []
    async with AsyncExitStack() as stack:
        for each in versions:
            each.connect(await stack.enter_async_context(captures.Lifespan(each.app)))
            await each.microseconds(WARM_UP)
        ours, other = versions
        for number in range(rounds):
            progress(number, rounds, "turns")
            first = await ours.microseconds(count) if number % 2 else None
            theirs = await other.microseconds(count)
            found.append((await ours.microseconds(count) if first is None else first, theirs))
    return found


def saved(pairs: Pairs) -> tuple[float, str]:
    """What a piece saves, in µs, and the ratio without it to with it, with its range: of rounds, by turns."""
    ratios = sorted(without / ours for ours, without in pairs)
    shown = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return median(without - ours for ours, without in pairs), shown


def lines(piece: OwnPiece) -> int:
    """The lines of a piece's files."""
    folder = Path(str(payments_core.__file__)).parent
    return sum(len((folder / name).read_text().splitlines()) for name in piece.files)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, by turns.")] = 9,
    count: Annotated[int, typer.Option(min=1, help="Captures a turn.")] = 1_000,
    earlier: Annotated[
        Path | None,
        typer.Option("--against", help="Only this: another checkout of the service, beside this one."),
    ] = None,
) -> None:
    """Print what each saves."""
    if earlier is not None:
        pairs = against(earlier.absolute(), rounds, count)
        ratios = sorted(ours / other for ours, other in pairs)
        ours, other = (median(each) for each in zip(*pairs, strict=True))
        quarter = len(ratios) // 4
        print(  # noqa: T201 - a program's output
            f"{ours:.0f} µs a capture, {other:.0f} in the other version: {median(ratios):.3f} times as much, "
            f"{ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f} in half of {rounds} rounds of {count}"
        )
        return
    pieces = list(captures.pieces())
    table = Table("piece", "in its place", "lines", "with, µs", "saves, µs", "ratio")
    for column in table.columns[2:]:
        column.justify = "right"
    for piece, pairs in zip(pieces, measured(pieces, rounds, count), strict=True):
        ours = median(ours for ours, _ in pairs)
        saves, ratio = saved(pairs)
        table.add_row(piece.name, piece.library, str(lines(piece)), f"{ours:.0f}", f"{saves:.0f}", ratio)
    console = Console(width=130)
    console.print(table)
    console.print(f"{rounds} rounds of {count:,} captures, {os.cpu_count()} cores", highlight=False)


if __name__ == "__main__":
    typer.run(main)
