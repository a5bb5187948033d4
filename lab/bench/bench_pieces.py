"""What each piece of our own saves a capture, beside what a library has in its place.

`python -m lab.bench.bench_pieces`: µs of processor time of the service's process, in rounds by turns.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from lab.bench.service.database import Database
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.cli.running import progress_bar
from pgweave.embedded import temporary_postgres

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
) -> None:
    """Print what each saves."""
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
