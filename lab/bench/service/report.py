"""The tables: contestants, ratios, and what was to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from lab.bench.service.results import (
    BUSY,
    CONTESTANTS,
    EARLIER_ONE,
    FLOOR_ONE,
    ONE,
    OTHER_ONE,
    OTHER_TWO,
    PGBENCH,
    TWO,
    MeasuredRun,
    Results,
    aims,
    median,
    ratio,
)

RATIOS = (
    (ONE, EARLIER_ONE),
    (FLOOR_ONE, PGBENCH),
    (ONE, FLOOR_ONE),
    (ONE, PGBENCH),
    (TWO, PGBENCH),
    (ONE, OTHER_ONE),
    (TWO, OTHER_TWO),
)
_COLUMNS: Sequence[tuple[str, Callable[[MeasuredRun], float], str]] = (
    ("captures/s", lambda run: run.per_second, ",.0f"),
    ("p50 ms", lambda run: run.p50 / 1e3, ".1f"),
    ("p99 ms", lambda run: run.p99 / 1e3, ".1f"),
    ("p99.9 ms", lambda run: run.p999 / 1e3, ".1f"),
    ("server µs", lambda run: run.server_us, ".0f"),
    ("database µs", lambda run: run.database_us, ".0f"),
    ("HOT", lambda run: run.hot, ".1%"),
    ("others", lambda run: run.others, ".0%"),
)


def show(results: Results, console: Console) -> None:
    """Print what was measured."""
    if results.runs:
        rounds = max(sum(run.name == name for run in results.runs) for name in CONTESTANTS)
        console.print(contestants_table(results.runs, f"median of {rounds} rounds"))
        console.print()
        console.print(ratios_table(results.runs))
        console.print()
    for line in lines(results):
        console.print(line, highlight=False)
    found = aims(results)
    if found:
        table = _table("what was to be reached", ("", "measured", "aim", ""))
        for aim in found:
            measured = f"{aim.measured:,.1f} {aim.unit}"
            verdict = "reached" if aim.reached else "[bold red]missed[/]"
            table.add_row(aim.text, measured, f"{aim.sense} {aim.limit:g} {aim.unit}", verdict)
        console.print()
        console.print(table)
    warning = busy(results)
    if warning:
        console.print(f"\n{warning}", style="yellow", highlight=False)


def contestants_table(runs: Sequence[MeasuredRun], title: str) -> Table:
    """A row for each contestant: medians over the rounds."""
    table = _table(title, ("", *(name for name, _, _ in _COLUMNS)))
    for name in CONTESTANTS:
        medians = [median(runs, name, of) for _, of, _ in _COLUMNS]
        shown = [
            "" if value is None or (column == "server µs" and not value) else format(value, style)
            for value, (column, _, style) in zip(medians, _COLUMNS, strict=True)
        ]
        if any(shown):
            table.add_row(name, *shown)
    return table


def ratios_table(runs: Sequence[MeasuredRun]) -> Table:
    """The throughput of one contestant by that of another: ratios of medians."""
    table = _table("ratios of captures a second", ("", "", "ratio"))
    for of, to in RATIOS:
        found = ratio(runs, of, to)
        if found is not None:
            table.add_row(of, f"by {to}", f"{found:.2f}")
    return table


def lines(results: Results) -> list[str]:
    """The other parts, a line each."""
    found = []
    if results.half_loads:
        halves = results.half_loads
        p50 = statistics.median(one.p50 for one in halves) / 1e3
        p99 = statistics.median(one.p99 for one in halves) / 1e3
        p999 = statistics.median(one.p999 for one in halves) / 1e3
        rate = statistics.median(one.rate for one in halves)
        done = statistics.median(one.per_second for one in halves)
        found.append(
            f"half load: {rate:,.0f} captures a second to be sent, {done:,.0f} done; "
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, p99.9 {p999:.1f} ms"
        )
    if results.samples:
        first, last = results.samples[0], results.samples[-1]
        found.append(
            f"memory: {first.memory / 2**20:.1f} MiB after {first.captures:,} captures, "
            f"{last.memory / 2**20:.1f} MiB after {last.captures:,}"
        )
    for payments in sorted({one.payments for one in results.sized}):
        with_so_many = [one for one in results.sized if one.payments == payments]
        server = statistics.median(one.server_us for one in with_so_many)
        database = statistics.median(one.database_us for one in with_so_many)
        found.append(
            f"with {payments:,} payments: server {server:.0f} µs, database {database:.0f} µs a capture"
        )
    if results.lifecycle:
        life = results.lifecycle
        found.append(f"lives: {life.payments:,} payments, {life.hot:,} of {life.updates:,} updates HOT")
    return found


def busy(results: Results) -> str | None:
    """A warning, if others used the machine."""
    shares = [one.others for one in results.runs]
    shares += [one.others for one in results.half_loads]
    shares += [one.others for one in results.sized]
    crowded = sum(share > BUSY for share in shares)
    if not crowded:
        return None
    return (
        f"others used more than {BUSY:.0%} of the processors in {crowded} of {len(shares)} runs "
        f"(up to {max(shares):.0%}): compare within the table, and measure again on a quiet machine"
    )


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right")
    return table
