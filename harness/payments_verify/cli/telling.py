"""What commands say. It may quote what others have written: no byte of it moves the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import msgspec
import typer

from pgweave.visible import in_json, visible

program = ContextVar("program", default="payments-verify")
"""The name of the program whose command runs."""


class Bar(Protocol):
    """What a bar on a terminal does, so that lines can be printed."""

    def start(self) -> None:
        """Be shown."""

    def stop(self) -> None:
        """Give way."""


shown: list[Bar] = []
"""The bars on a terminal, which give way to what is printed."""


@contextmanager
def aside() -> Iterator[None]:
    """Take the bars off the terminal while something is printed."""
    for bar in shown:
        bar.stop()
    try:
        yield
    finally:
        for bar in shown:
            bar.start()


def say(text: object, *, err: bool = False) -> None:
    """Print a line that may quote what others have written: no byte of it moves the cursor."""
    with aside():
        typer.echo(visible(f"{text}"), err=err)


def print_error(problem: object) -> None:
    """Print why there is no verdict, on standard error; what it quotes moves no cursor."""
    say(f"{program.get()}: {problem}", err=True)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever msgspec encodes
    """Print a value as JSON, and nothing that moves the cursor."""
    typer.echo(in_json(msgspec.json.format(msgspec.json.encode(value)).decode()))
