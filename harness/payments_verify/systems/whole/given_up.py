"""Sessions that a service has given up: it closes them at once, and leaves none to the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from payments_verify.patience import comes_true
from pgweave.gate import Gate

_LIMIT_S = 3.0


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Collect no garbage within the block: what is forgotten there, and not closed, stays open."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


async def left_open(most: int, told: str, *gates: Gate) -> str | None:
    """How many sessions stay open, if they are more than there may be.

    Args:
        most: how many there may be: as many as the service's pools may have.
        told: what has gone wrong, or goes wrong still.
        gates: through which the service comes.
    """

    def count() -> int:
        return sum(len(each.sessions) for each in gates)

    if await comes_true(lambda: count() <= most, _LIMIT_S):
        return None
    return f"I9: {told}, and {count()} sessions stay open, of a service that may have {most}"
