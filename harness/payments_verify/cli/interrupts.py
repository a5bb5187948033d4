"""Ctrl-C and SIGTERM: what was started ends, what was finished stays, and neither is lost on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.05


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or came up while one ended what was under way."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def interruptible(what_is_left: str) -> Iterator[None]:
    """Let an interrupt end the block, once it has ended what it started, with a message and exit code 2.

    Args:
        what_is_left: what there is of the work.

    Raises:
        typer.Exit: it was interrupted.
    """
    try:
        yield
    except typer.Exit:
        raise
    except BaseException as error:
        if not was_interrupted(error):
            raise
        typer.echo(f"interrupted; {what_is_left}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def kept_when_interrupted() -> Iterator[Callable[[], bool]]:
    """Let an interrupt end the block, but not the command, which then shows what was finished.

    Yields:
        Says, after the block, whether it came to its end.
    """
    whole = True
    try:
        yield lambda: whole
    except BaseException as error:
        if not was_interrupted(error):
            raise
        whole = False
        typer.echo("interrupted; this is what was finished", err=True)


def interrupt_on_termination() -> None:
    """Let SIGTERM end a command as Ctrl-C does: with what was finished, and without what was started.

    One that falls where Python can raise nothing, as in a callback of its garbage collector, comes again.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background. A loop takes an interrupt between two callbacks if SIGINT has Python's
        # own handler, and else in the middle of one, where it may be lost. Blocked, it is ignored as before.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _interrupting_again(sys.unraisablehook)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


def _interrupting_again(
    hook: Callable[[UnraisableHookArgs], object],
) -> Callable[[UnraisableHookArgs], object]:
    def take(unraisable: UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        # Not from here: the hook itself can raise nothing either. SIGTERM, since SIGINT may be blocked.
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()

    return take
