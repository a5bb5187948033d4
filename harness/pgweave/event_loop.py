"""The event loop in which schedules are run, and the memory of those who run many."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG_OBJECTS = 20_000
"""How many are made before the garbage collector looks at them: some schedules' worth, and some megabytes."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop's where that is installed: a schedule is mostly messages, and it is faster at them."""
    try:
        import uvloop  # noqa: PLC0415 - the engine does not depend on it
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextmanager
def collecting_garbage_seldom() -> Iterator[None]:
    """Let the collector look only at what is made in the block, and not at every few hundred objects.

    Each schedule leaves little in cycles. The modules, of which there are many objects, stay.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
