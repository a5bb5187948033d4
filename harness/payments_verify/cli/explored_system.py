"""The services whose interleavings are run, as the command line names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from payments_verify.payments.service.under_test import OpenService
from payments_verify.systems import (
    EXPLORING,
    IN_MEMORY,
    OWN_SWEEPER,
    expire_batch,
    gated,
    gated_in_memory,
    gated_side_by_side,
    prepared_database,
    sweep_by_itself,
)
from payments_verify.systems.one_core import allowed_cores


class ExploredSystem(StrEnum):
    """Where the scheduler holds a service back: before each call of its store, or before each statement.

    With its own sweeper, a sweep is run by the task that no request asks for.
    """

    IN_MEMORY = "in-memory"
    IN_PROCESS = "in-process"
    OWN_SWEEPER = "own-sweeper"


System = Annotated[
    ExploredSystem,
    typer.Option(
        help=""
        "The system to run: in memory; over PostgreSQL, in this process or by --command; or so that its own"
        " sweeper's task sweeps."
    ),
]


StopAtFirst = Annotated[
    bool, typer.Option("--stop-at-first", help="Leave out what comes after the first violation.")
]


def require_database(system: ExploredSystem, command: str | None) -> None:
    """Refuse a command for a service that is run in memory, or swept by its own sweeper.

    Raises:
        typer.BadParameter: if there is one.
    """
    if system is not ExploredSystem.IN_PROCESS and command is not None:
        raise typer.BadParameter(
            f"a service that is started by a command is never {system}; leave one of the two out",
            param_hint="--command",
        )


def system_of(service: str) -> ExploredSystem:
    """The system whose steps the schedules of a service of this name have."""
    named = {IN_MEMORY: ExploredSystem.IN_MEMORY, OWN_SWEEPER: ExploredSystem.OWN_SWEEPER}
    return named.get(service, ExploredSystem.IN_PROCESS)


@contextmanager
def explored(
    system: ExploredSystem,
    command: str | None,
    bin_dir: Path | None,
    *,
    instances: int = 1,
    by_workers: bool = False,
    side_by_side: bool = False,
) -> Iterator[OpenService]:
    """A way to open a service, with a database behind it where it needs one.

    Args:
        system: where the scheduler holds it back.
        command: the command that starts it; ``None`` for the application in this process.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        instances: how many of the application there are in this process, where it is over PostgreSQL.
        by_workers: whether its schedules are run by other processes.
        side_by_side: whether many are run here: of the application in this process, two at a time if it and
            PostgreSQL have a core each.
    """
    if system is ExploredSystem.IN_MEMORY:
        yield gated_in_memory
        return
    with prepared_database(bin_dir, EXPLORING) as dsn:
        if side_by_side and system is ExploredSystem.IN_PROCESS and not command and len(allowed_cores()) > 1:
            yield partial(gated_side_by_side, dsn, instances)
            return
        sweep = sweep_by_itself if system is ExploredSystem.OWN_SWEEPER else expire_batch
        yield partial(gated, dsn, command, one_core=not by_workers, instances=instances, sweep=sweep)
