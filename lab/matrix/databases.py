"""The differential suite on each database that the service is promised to work on, as one table.

    make test-databases

Exit codes: 0 everything holds on all of them; 1 something does not; 2 one is missing here, or has no verdict.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import typer

from lab.steps import Steps, UnableError
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.payments.exploration.check import interleavings_check
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.races.check import racing_check
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import EXPLORING, gated, in_process, servers
from pgweave import clock
from pgweave.embedded import temporary_postgres
from pgweave.verdict import EXIT_CODES, Verdict, worst
from tests.support.partitioned import migrate_partitioned
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import reachable_folder

FOLDER = Path("build/databases")
OLDER = Path("/usr/lib/postgresql/15/bin")
SEED = 1
COLUMNS = ("commands, one by one", "races, drawn", "interleavings", "stress: operations")
HIDDEN = "-"
"""In a cell: the gate knows sessions by their processes on the server, which a pooler hides."""
_POOLER_SESSIONS = 40
_PROGRAMS, _STEPS, _ROUNDS = 60, 20, 40
_EXPLORED = [each for name, each in SCENARIOS.items() if name != "four-captures"]


@dataclass(frozen=True)
class Place:
    """A database that is ready.

    Attributes:
        dsn: where the service connects.
        direct: the server itself; another where a pooler stands in between.
        version: of the server.
        settings: of the service.
    """

    dsn: str
    direct: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)


Open = Callable[[], AbstractContextManager[Place]]


def main() -> None:
    """Run the suite on each database, print the table, and end with the exit code."""
    steps = Steps()
    opened: list[tuple[str, Open]] = [
        ("PostgreSQL", postgres),
        ("PostgreSQL", partial(postgres, OLDER)),
        ("hash-partitioned, PostgreSQL", partial(postgres, tables=migrate_partitioned)),
        ("PgBouncer (session mode), PostgreSQL", partial(pooled, "session")),
        ("PgBouncer (transaction mode), PostgreSQL", partial(pooled, "transaction")),
    ]
    lines: list[str] = []
    verdicts: list[Verdict] = []
    for name, open_place in opened:
        with steps.step(name) as told:
            line, verdict = row_of(name, open_place)
            told.append(" ".join(line.split()))
        lines.append(line)
        verdicts.append(verdict)
    typer.echo(f"\n{datetime.now(UTC):%Y-%m-%d}, `make test-databases`\n")
    typer.echo("\n".join([_in_cells("database", *COLUMNS, "seconds"), "|---|---|---|---|---|---|", *lines]))
    sys.exit(EXIT_CODES[worst(verdicts)])


def row_of(name: str, open_place: Open) -> tuple[str, Verdict]:
    """The line of the table for one database, and the verdict on it."""
    started = time.monotonic()
    try:
        with open_place() as place:
            results = list(_checked(place))
    except Exception as error:  # noqa: BLE001 - one database without a verdict, and the others keep theirs
        why = " ".join(str(error).split()) or type(error).__name__
        return _in_cells(name, f"not tried: {why}", *[""] * len(COLUMNS)), "no verdict"
    for result in results:
        if result is not None and result.counterexample is not None:
            typer.echo(f"\n{name}: {result.name}: {result.verdict}\n{result.counterexample}", err=True)
    cells = [HIDDEN if each is None else f"{each.line}: {each.cases:,}" for each in results]
    verdict = worst(each.verdict for each in results if each is not None)
    shown = f"{name} {place.version}"
    return _in_cells(shown, *cells, f"{time.monotonic() - started:.0f}"), verdict


def _in_cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _checked(place: Place) -> Iterator[CheckResult | None]:
    """Each column's check; ``None`` where it cannot be made."""
    dsn, schedules = place.dsn, FOLDER / "schedules"
    with _set(place.settings):
        yield machine_check(
            "in process",
            partial(in_process, dsn, direct=place.direct),
            examples=_PROGRAMS,
            steps=_STEPS,
            seed=SEED,
        )
        if place.dsn == place.direct:
            service = partial(gated, dsn)
            yield racing_check("in process", service, examples=_PROGRAMS, steps=_STEPS, seed=SEED)
            yield interleavings_check("in process", service, _EXPLORED, schedules)
        else:
            yield from (None, None)
        yield stress_check(
            "2 server processes",
            partial(servers, dsn, 2, place.direct),
            FOLDER / "histories",
            rounds=_ROUNDS,
            seed=SEED,
            progress=None,
        )


@contextmanager
def _set(settings: Mapping[str, str]) -> Iterator[None]:
    """Let the service, which takes its settings from the environment, find these."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings.keys() - before.keys():
            del os.environ[name]


@contextmanager
def postgres(
    bin_dir: Path | None = None, tables: Callable[[str, Path], object] = lambda dsn, _folder: migrate(dsn)
) -> Iterator[Place]:
    """A server of its own, with a database whose clock can be set.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one if not given.
        tables: makes the schema; gets a folder to work in.

    Raises:
        UnableError: the machine lacks it.
    """
    if bin_dir is not None and not bin_dir.is_dir():
        raise UnableError(f"{bin_dir} is not there")
    with temporary_postgres(bin_dir=bin_dir, settings=EXPLORING) as server, reachable_folder() as folder:
        dsn = server.create_database("differential")
        tables(dsn, folder)
        clock.install(dsn, "payment_clock")
        yield Place(dsn, dsn, server.version)


@contextmanager
def pooled(mode: str) -> Iterator[Place]:
    """The same behind PgBouncer.

    Args:
        mode: ``session`` or ``transaction``; the service is told.

    Raises:
        UnableError: it is not installed.
    """
    if shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is None:
        raise UnableError("pgbouncer is not installed")
    with ExitStack() as stack:
        place = stack.enter_context(postgres())
        dsn = stack.enter_context(pgbouncer(place.dsn, mode, _POOLER_SESSIONS))
        yield Place(dsn, place.direct, place.version, {"PAYMENTS_POOLER_MODE": mode})


if __name__ == "__main__":
    main()
