"""Limits in time that a service which is right does not pass, on a machine that is busy with other things."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from payments_verify.children import usable_cores

_LOOK_S = 0.005


def patient(limit_s: float) -> float:
    """A limit in time, stretched by how many want each core at the moment, by the machine's load average.

    Args:
        limit_s: the limit on an idle machine, in seconds.
    """
    return limit_s * max(1.0, os.getloadavg()[0] / usable_cores())


async def comes_true(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until it is so; whether it was in time, which is longer on a busy machine."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patient(limit_s)
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True
