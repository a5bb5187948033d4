"""A piece that is measured: the same work with it and without."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

Work = Callable[[int], Awaitable[None]]
"""Does something so many times."""


class Piece(NamedTuple):
    """One piece.

    Attributes:
        name: of the piece.
        where: the file that it stands in.
        unit: what it is counted by: a request, or a connection.
        whole: the work with it.
        without: the same work without it.
    """

    name: str
    where: str
    unit: str
    whole: Work
    without: Work


async def microseconds(work: Work, count: int) -> float:
    """Processor time of one of so many, in µs."""
    began = time.process_time()
    await work(count)
    return (time.process_time() - began) / count * 1e6
