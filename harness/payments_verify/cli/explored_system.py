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
from payments_verify.systems import EXPLORING, IN_MEMORY, gated, gated_in_memory, prepared_database


class ExploredSystem(StrEnum):
    """Where the scheduler holds a service back: before each call of its store, or before each statement."""

    IN_MEMORY = "in-memory"
    IN_PROCESS = "in-process"


System = Annotated[
    ExploredSystem,
    typer.Option(help="The system to run: in memory, or over PostgreSQL, in this process or by --command."),
]


StopAtFirst = Annotated[
    bool, typer.Option("--stop-at-first", help="Leave out what comes after the first violation.")
]


def require_database(system: ExploredSystem, command: str | None) -> None:
    """Refuse a command for a service that is run in memory.

    Raises:
        typer.BadParameter: if there is one.
    """
    if system is ExploredSystem.IN_MEMORY and command is not None:
        raise typer.BadParameter(
            "a service that is started by a command is never in memory; leave one of the two out",
            param_hint="--command",
        )


def system_of(service: str) -> ExploredSystem:
    """The system whose steps the schedules of a service of this name have."""
    return ExploredSystem.IN_MEMORY if service == IN_MEMORY else ExploredSystem.IN_PROCESS


@contextmanager
def explored(
    system: ExploredSystem, command: str | None, bin_dir: Path | None, *, by_workers: bool = False
) -> Iterator[OpenService]:
    """A way to open a service, with a database behind it where it needs one.

    Args:
        system: where the scheduler holds it back.
        command: the command that starts it; ``None`` for the application in this process.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        by_workers: whether its schedules are run by other processes.
    """
    if system is ExploredSystem.IN_MEMORY:
        yield gated_in_memory
        return
    with prepared_database(bin_dir, EXPLORING) as dsn:
        yield partial(gated, dsn, command, one_core=not by_workers)
