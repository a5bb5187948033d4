"""A process that makes checks of the main job, one after the other, with a database server of its own.

It is told which check comes next when it has made one. While it checks it tells how far it has come; then it
gives what it found, also where an interrupt ended it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from payments_verify.cli.ends import run_check, was_interrupted
from payments_verify.cli.interrupts import interrupt_on_termination
from payments_verify.result import CheckResult

if TYPE_CHECKING:
    from payments_verify.suite import Planned

_LOOK_S = 1.0
_TELL_S = 0.2


@dataclass(frozen=True)
class MainJob:
    """What the main job is to try; the fields are those of `suite`.

    Attributes:
        quick: whether to try less of what cannot be exhausted.
        prove_again: whether to prove what was proved before of the same sources.
    """

    quick: bool
    seed: int
    histories: Path
    schedules: Path
    bin_dir: Path | None
    prove_again: bool = False

    @contextmanager
    def checks(self) -> Iterator[tuple[list[Planned], str]]:
        """The checks, on a database server that runs until the block ends, and the server's version.

        Raises:
            EmbeddedPostgresError: no server can be started; the message says why and what to do.
        """
        # Imported here, since it takes seconds: who waits for the first line does not wait for them.
        import psycopg  # noqa: PLC0415

        from payments_verify.suite import FULL, QUICK, suite  # noqa: PLC0415
        from payments_verify.systems import EXPLORING, prepared_database  # noqa: PLC0415

        with prepared_database(self.bin_dir, EXPLORING) as dsn:
            with psycopg.connect(dsn) as connection:
                row = connection.execute("SHOW server_version").fetchone()
            assert row is not None
            effort = QUICK if self.quick else FULL
            folders = self.histories, self.schedules
            planned = suite(dsn, effort, self.seed, *folders, self.bin_dir, prove_again=self.prove_again)
            yield list(planned), str(row[0])


@dataclass(frozen=True)
class Ready:
    """A process can make checks.

    Attributes:
        titles: those of the checks, in their order.
        longest: the places of those that take long beside the others.
        version: that of PostgreSQL.
    """

    titles: Sequence[str]
    longest: Sequence[int]
    version: str


@dataclass(frozen=True)
class Came:
    """How far a check has come; the fields are those of `Progress`."""

    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Found:
    """What a check found; nothing if it was ended before it had found something."""

    results: Sequence[CheckResult]


@dataclass(frozen=True)
class Failed:
    """Why a process can make no checks."""

    error: BaseException


Message: TypeAlias = Ready | Came | Found | Failed


def main(file_descriptor: int) -> None:
    """Make checks until there are no more."""
    interrupt_on_termination()
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with Connection(file_descriptor) as connection:
        try:
            plan: MainJob = connection.recv()
            with plan.checks() as (planned, version):
                longest = [number for number, each in enumerate(planned) if each.is_long]
                connection.send(Ready([each.title for each in planned], longest, version))
                while (number := connection.recv()) is not None:
                    _check(planned[number], connection)
        except (EOFError, BrokenPipeError):
            return  # nobody asks any more
        except BaseException as error:  # noqa: BLE001 - it is told where it is waited for
            if not was_interrupted(error):
                error.add_note("".join(traceback.format_exception(error)))
                with suppress(OSError):
                    connection.send(Failed(error))


def _check(planned: Planned, connection: Connection) -> None:
    results: list[CheckResult] = []
    told = 0.0

    def tell(done: int, total: int, text: str) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            connection.send(Came(done, total, text))

    try:
        run_check(planned.title, partial(planned.run, progress=tell), results)
    finally:
        connection.send(Found(results))


def _end_with(parent: int) -> None:
    """Interrupt this process once the one that has started it is gone, whatever ended that."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGINT)
