"""Connection strings that name several hosts, of which one is the primary: today this, tomorrow that."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from psycopg import Error, OperationalError
from psycopg.conninfo import conninfo_to_dict

HEAD_START_S = 0.25
"""How long a host has to answer before the next one is tried beside it, in seconds."""

_LISTS = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT"}


class Closable(Protocol):
    """Something that can be closed."""

    async def close(self) -> None:
        """Close it."""


Opened = TypeVar("Opened", bound=Closable)


def each_host(dsn: str) -> list[dict[str, str]]:
    """The hosts that a connection string or libpq's environment names, as parameters that name one each.

    One without parameters if there is but one, or if libpq is to refuse the lists.

    Raises:
        psycopg.ProgrammingError: if ``dsn`` is no connection string.
    """
    given = conninfo_to_dict(dsn)
    named = {name: str(given.get(name) or os.environ.get(variable, "")) for name, variable in _LISTS.items()}
    lists = {name: value.split(",") for name, value in named.items() if value}
    count = max(len(lists.get("host", [])), len(lists.get("hostaddr", [])))
    if count < 2 or any(len(values) not in {1, count} for values in lists.values()):
        return [{}]
    return [{name: (values * count)[place] for name, values in lists.items()} for place in range(count)]


async def first_of(openings: Sequence[Callable[[], Coroutine[Any, Any, Opened]]]) -> Opened:
    """Return the first that opens. Each attempt begins when those before it failed, or after a head start.

    Raises:
        psycopg.OperationalError: if none opens.
    """
    waiting, failures = deque(openings), list[Error]()
    running: list[asyncio.Task[Opened]] = []
    try:
        while waiting or running:
            if waiting:
                running.append(asyncio.create_task(waiting.popleft()()))
            limit = HEAD_START_S if waiting else None
            done, _ = await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in running if each in done]:
                running.remove(task)
                try:
                    return task.result()
                except Error as error:
                    failures.append(error)
        raise OperationalError("no host can be used: " + "; ".join(str(each).strip() for each in failures))
    finally:
        for task in running:
            task.cancel()
        for ended in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(ended, BaseException):
                await ended.close()
