"""The processes of a service: what they compute, and their end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LOOK_S = 0.05
_STATE, _GROUP, _SESSION, _USER_TICKS = 0, 2, 3, 11
_ENDED = "ZX"


async def end_group(process: asyncio.subprocess.Process, limit_s: float) -> None:
    """End a process and all of its group: by SIGTERM, and by SIGKILL if one goes on.

    Args:
        process: the leader of a group of its own.
        limit_s: how long to wait after each signal.
    """
    for what in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, what)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await process.wait()
                while _lives(process.pid):  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(_LOOK_S)
                return


def cpu_ticks(session: int) -> int:
    """What the processes of a session have computed so far, in ticks of the system's clock."""
    return sum(
        int(each[_USER_TICKS]) + int(each[_USER_TICKS + 1])
        for each in _all()
        if each[_SESSION] == str(session)
    )


def _lives(group: int) -> bool:
    return any(each[_GROUP] == str(group) and each[_STATE] not in _ENDED for each in _all())


def _all() -> Iterator[list[str]]:
    """What the system tells of each process, from its state on; nothing where there is no /proc."""
    with suppress(FileNotFoundError):
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile, which a look by a pattern would not survive
                    yield (process / "stat").read_text().rpartition(")")[2].split()
