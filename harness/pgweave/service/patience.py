"""How long to wait for a process to serve: as long as it gets on with something.

A limit in time alone is passed by a process that is right, on a machine that is busy. What prints, or
computes, is no hang.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import IO

from pgweave.service.process_group import cpu_ticks

IDLE_LIMIT_S = 120.0
"""How long a process may do nothing that can be seen before it is taken to hang."""
START_LIMIT_S = 900.0
"""How long a start may take in any case."""

_POLL_S = 0.05
_WORK_TICKS = 100  # a second: a server that waits for requests computes a little, and less than that


async def comes_to_serve(
    process: asyncio.subprocess.Process,
    output: IO[bytes],
    serves: Callable[[], Awaitable[bool]],
    is_hopeless: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait until a process serves; whether it does, and has neither ended nor come to a halt before.

    Args:
        process: the process, the leader of a session of its own.
        output: what it prints to.
        serves: asks it.
        is_hopeless: whether what it has answered so far says that it never will.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + START_LIMIT_S
    seen: tuple[int, int] | None = None
    idle_since = loop.time()
    while process.returncode is None and loop.time() < ends and loop.time() < idle_since + IDLE_LIMIT_S:
        if await serves():
            return True
        if is_hopeless():
            return False
        printed, ticks = os.fstat(output.fileno()).st_size, cpu_ticks(process.pid)
        if seen is None or printed != seen[0] or abs(ticks - seen[1]) >= _WORK_TICKS:
            seen, idle_since = (printed, ticks), loop.time()
        await asyncio.sleep(_POLL_S)
    return False


def last_printed(output: IO[bytes], most: int = 8_192) -> str:
    """The end of what was printed to a file."""
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), most, max(0, size - most)).decode(errors="replace")
