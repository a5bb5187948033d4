"""Ctrl-C and SIGTERM: neither is lost on its way to the code that ends what was started."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.05


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
        # To this thread, which Python interrupts: what it waits for ends with its own signals alone.
        again = threading.Timer(_AGAIN_S, signal.pthread_kill, (threading.get_ident(), signal.SIGTERM))
        again.daemon = True
        again.start()

    return take
