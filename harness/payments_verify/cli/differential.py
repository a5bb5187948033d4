"""`payments-verify machine` and `payments-verify stress`: a running service against the model."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from payments_verify.audit import complaint
from payments_verify.cli.ends import run_alone
from payments_verify.cli.options import Json, PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import finish
from payments_verify.payments.inputs.classes import FEW_REFUSALS
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.races.check import racing_check
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import (
    EXPLORING,
    SWEEP_EVERY_S,
    gated_on_new_database,
    in_memory,
    in_process,
    on_new_database,
    prepared_database,
    servers,
)

HISTORIES = Path("build/histories")


class SystemName(StrEnum):
    """The systems that the machine runs on."""

    IN_MEMORY = "in-memory"
    IN_PROCESS = "in-process"
    SERVER = "server"


@contextmanager
def opened(
    name: SystemName, bin_dir: Path | None, processes: int = 2, sweep_every_s: float = 0.0
) -> Iterator[OpenService]:
    """A way to open the named system, with a database behind it where it needs one."""
    if name is SystemName.IN_MEMORY:
        yield in_memory
        return
    with prepared_database(bin_dir) as dsn:
        several = partial(servers, count=processes, sweep_every_s=sweep_every_s)
        few = partial(in_process, max_stored_refusals=FEW_REFUSALS)
        system = few if name is SystemName.IN_PROCESS else several
        yield partial(on_new_database, dsn, system, complaint)


def machine(
    system: Annotated[SystemName, typer.Option(help="The system to run.")] = SystemName.IN_PROCESS,
    examples: Annotated[int, typer.Option(min=1, help="Programs to try.")] = 200,
    steps: Annotated[int, typer.Option(min=1, help="Commands in a program, at most.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Repeat a run; drawn anew if not given.")] = None,
    races: Annotated[
        bool, typer.Option("--races", help="Draw races too, with the order of their SQL statements.")
    ] = False,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Run the stateful machine: each answer to a drawn command compared with the model's.

    With --races, some commands are sent at once, and Hypothesis draws whose next SQL statement reaches the
    database as well. What it finds it shrinks to the fewest clients, commands and switches between them, and
    prints it as a test. This needs the service behind the gate, which is the one in process.

    Exit codes: 0 it holds; 1 a mismatch was found; 2 no verdict.
    """
    if races:
        if system is not SystemName.IN_PROCESS:
            raise typer.BadParameter(f"the {system.value} system has no gate", param_hint="--races")
        _race(examples, steps, seed, postgres_bin, as_json=as_json)

    def run() -> CheckResult:
        with opened(system, postgres_bin) as open_system, progress_bar(system.value) as progress:
            return machine_check(
                system.value, open_system, examples=examples, steps=steps, seed=seed, progress=progress
            )

    finish(run_alone(f"stateful machine: {system.value}", run), as_json=as_json)


def _race(
    examples: int, steps: int, seed: int | None, postgres_bin: Path | None, *, as_json: bool
) -> NoReturn:
    def run() -> CheckResult:
        with prepared_database(postgres_bin, EXPLORING) as dsn, progress_bar("races") as progress:
            return racing_check(
                "in process",
                partial(gated_on_new_database, dsn, complaint),
                examples=examples,
                steps=steps,
                seed=seed,
                progress=progress,
            )

    finish(run_alone("stateful machine with races: in process", run), as_json=as_json)


def stress(
    processes: Annotated[int, typer.Option(min=1, help="Server processes.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of racing clients.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Draws the commands; drawn anew if not given.")] = None,
    histories: Annotated[Path, typer.Option(help="Folder for the recorded histories.")] = HISTORIES,
    postgres_bin: PostgresBin = None,
    as_json: Json = False,
) -> None:
    """Race clients against server processes, and judge every history.

    Exit codes: 0 it holds; 1 a violation was found; 2 no verdict.
    """
    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    name = f"{processes} server process{'es' if processes > 1 else ''}"

    def run() -> CheckResult:
        with (
            opened(SystemName.SERVER, postgres_bin, processes, SWEEP_EVERY_S) as open_system,
            progress_bar("stress") as progress,
        ):
            return stress_check(name, open_system, histories, rounds=rounds, seed=drawn, progress=progress)

    finish(run_alone(f"stress: {name}", run), as_json=as_json)
