"""What each piece between a client's bytes and the routes costs, beside the same work without it.

`python -m lab.bench.bench_doors`: µs of processor time, of one process, in rounds by turns; no database.
"""

from __future__ import annotations

import os
from statistics import median
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from lab.bench.doors import around, below
from lab.bench.doors.pair import Piece, microseconds


def measured(pieces: list[Piece], rounds: int, count: int) -> list[tuple[float, float]]:
    """Each piece's µs with it and without: medians over the rounds, in which each has its turn."""
    found: list[list[tuple[float, float]]] = [[] for _ in pieces]
    for number in range(rounds):
        for piece, times in zip(pieces, found, strict=True):
            works = (piece.whole, piece.without)
            first, second = works if number % 2 else works[::-1]
            cost = {work: uvloop.run(microseconds(work, count)) for work in (first, second)}
            times.append((cost[piece.whole], cost[piece.without]))
    return [(median(whole for whole, _ in each), median(without for _, without in each)) for each in found]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, by turns.")] = 40,
    count: Annotated[int, typer.Option(min=1, help="Requests, or connections, a round.")] = 2_000,
) -> None:
    """Print the cost of each."""
    pieces = [*around.pieces(), *below.pieces()]
    table = Table("piece", "file", "of a", "with, µs", "without, µs", "piece, µs", "ratio")
    for column in table.columns[3:]:
        column.justify = "right"
    for piece, (whole, without) in zip(pieces, measured(pieces, rounds, count), strict=True):
        ratio = f"{whole / without:.2f}" if without > 1 else ""
        costs = (f"{whole:.2f}", f"{without:.2f}", f"{whole - without:.2f}")
        table.add_row(piece.name, piece.where, piece.unit, *costs, ratio)
    console = Console(width=130)
    console.print(table)
    console.print(f"{rounds} rounds of {count:,}, {os.cpu_count()} cores", highlight=False)


if __name__ == "__main__":
    typer.run(main)
