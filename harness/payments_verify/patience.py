"""Limits in time that a service which is right does not pass, on a machine that is busy with other things."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from payments_verify.children import usable_cores

_LOOK_S = 0.005
_Answer = TypeVar("_Answer")


def patient(limit_s: float) -> float:
    """A limit in time, stretched by how many want each core at the moment, by the machine's load average.

    Args:
        limit_s: the limit on an idle machine, in seconds.
    """
    return limit_s * max(1.0, os.getloadavg()[0] / usable_cores())


async def ask_until(
    ask: Callable[[], Awaitable[_Answer]],
    is_so: Callable[[_Answer], object],
    limit_s: float,
    apart_s: float = 0.02,
) -> _Answer:
    """Ask again and again: the first answer that is so, or one that was asked for after the patient limit.

    Args:
        ask: asks once.
        is_so: whether an answer is the one that is waited for.
        limit_s: the limit on an idle machine, in seconds.
        apart_s: how long after an answer it asks again, in seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patient(limit_s)
    while True:
        is_last = loop.time() > deadline  # a slow answer may tell what was so long before it came
        answer = await ask()
        if is_so(answer) or is_last:
            return answer
        await asyncio.sleep(apart_s)


async def comes_true(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until it is so; whether it was in time, which is longer on a busy machine."""

    async def look() -> bool:
        return condition()

    return await ask_until(look, bool, limit_s, _LOOK_S)
