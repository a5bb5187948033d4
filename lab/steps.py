"""What a long run tells: a line a step, and why it ended."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer


class UnableError(Exception):
    """This machine cannot do it; the message names what is missing."""


class UndecidedError(UnableError):
    """It was tried, and what was seen decides nothing; the message says why."""


class ViolationError(Exception):
    """What was tried does not do what it should; the message says what was seen."""


class Steps:
    """Prints a line for each step: what is done, what came of it, and how many seconds it took."""

    def __init__(self) -> None:
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """One step; what the block adds to the list is printed in its line."""
        self._number += 1
        typer.echo(f"{self._number:2}  {title} ...", nl=False)
        started = time.monotonic()
        told: list[str] = []
        try:
            yield told
        except BaseException:
            typer.echo(" failed")
            raise
        typer.echo(f" {'; '.join(told) or 'done'} ({time.monotonic() - started:.1f} s)")


class Shell:
    """Runs programs, and keeps what they print in one file.

    Attributes:
        environment: what every program gets beside this process's own environment.
    """

    def __init__(self, log: Path) -> None:
        self.environment: dict[str, str] = {}
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def ask(self, *words: str | Path, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program whose failure is an answer too; standard error is kept apart.

        Raises:
            UnableError: there is no such program, or it does not end in time.
        """
        return self._run([str(word) for word in words], limit_s, {})

    def do(
        self, *words: str | Path, limit_s: float = 900, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a program that has to succeed; what it printed on standard output.

        Raises:
            UnableError: there is no such program, it does not end in time, or it fails.
        """
        command = [str(word) for word in words]
        ended = self._run(command, limit_s, environment or {})
        if ended.returncode:
            last = "\n".join((ended.stdout + ended.stderr).splitlines()[-20:])
            raise UnableError(
                f"{' '.join(command)} ended with {ended.returncode}; all of it: {self._log}\n{last}"
            )
        return ended.stdout

    def _run(
        self, command: Sequence[str], limit_s: float, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        try:
            ended = subprocess.run(
                command,
                env={**os.environ, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise UnableError(f"{command[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise UnableError(f"{' '.join(command)} did not end within {limit_s:g} s") from error
        with self._log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{ended.stdout}{ended.stderr}\n")
        return ended
