"""The processes of a service that a command starts over one database: each can be ended and started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import psycopg

from payments_verify.binding.sections import Clock
from payments_verify.binding.values import as_datetime
from pgweave import clock
from pgweave.service.command import RunningCommand
from pgweave.service.end import End

SetClock: TypeAlias = Callable[[int], Coroutine[Any, Any, object]]


@dataclass
class Replica:
    """A process of a service: wherever it is started, its client finds it.

    Attributes:
        run: starts it, until the block ends.
        running: it, as it was started last.
        http: its client; ``None`` until there is one.
    """

    run: Callable[[], AbstractAsyncContextManager[RunningCommand]]
    running: RunningCommand
    http: httpx.AsyncClient | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, run: Callable[[], AbstractAsyncContextManager[RunningCommand]]
    ) -> AsyncIterator[Replica]:
        """A process that serves, until the block ends.

        Raises:
            CommandError: the command did not come to serve.
        """
        async with AsyncExitStack() as stack:
            yield cls(run, await stack.enter_async_context(run()), _stack=stack)

    async def end(self, *, killed: bool) -> None:
        """End it; all at once, or as a supervisor does."""
        if killed:
            await self.running.kill()
        await self._stack.aclose()

    async def start(self) -> None:
        """Start it again, at another address.

        Raises:
            CommandError: the command did not come to serve.
        """
        self.running = await self._stack.enter_async_context(self.run())
        if self.http is not None:
            self.http.base_url = httpx.URL(self.running.url)


class ServiceClock:
    """A service's clock, which stands where it was set whatever starts of the service do to it.

    Args:
        by: whose it is, and how it is moved.
        direct: the database, without a gate.
    """

    def __init__(self, by: Clock, direct: str) -> None:
        self._by = by
        self._direct = direct
        self._set: SetClock = leave_the_clock
        self._now: int | None = None

    def install(self) -> None:
        """Have a clock for the sessions that open from now on, and for what the service has made."""
        if self._by.by == "database":
            clock.install(self._direct, self._by.function)

    async def connect(self, stack: AsyncExitStack) -> None:
        """Take it in hand, until the stack is closed."""
        self.install()
        if self._by.by == "database":
            opening = clock.DatabaseClock.connect(self._direct)
            self._set = (await stack.enter_async_context(opening)).set
        elif self._by.by == "sql":
            connecting = psycopg.AsyncConnection.connect(
                self._direct, autocommit=True, application_name="pgweave clock"
            )
            connection = await stack.enter_async_context(await connecting)
            assert self._by.set is not None
            statement = self._by.set.replace("%", "%%").replace("{now}", "%s").encode()
            self._set = lambda now: connection.execute(statement, [as_datetime(now)])

    async def set(self, now: int) -> None:
        """Set it, in µs UTC."""
        self._now = now
        await self._set(now)

    async def put_back(self) -> None:
        """Let it stand where it stood, after a start of the service."""
        self.install()
        if self._now is not None:
            await self._set(self._now)


async def start_again(
    replicas: Sequence[Replica], service_clock: ServiceClock, *, killed: bool = False
) -> None:
    """End every process, and start each again on the same data.

    Args:
        replicas: the processes.
        service_clock: the service's clock.
        killed: whether all is ended at once, in the middle of what it does.

    Raises:
        CommandError: the command does not come to serve on a database that it has used.
    """
    for each in replicas:
        await each.end(killed=killed)
    for each in replicas:
        await each.start()
    await service_clock.put_back()


async def end_of(replicas: Sequence[Replica]) -> End | None:
    """How one of the processes has ended, if one has."""
    for each in replicas:
        if (end := await each.running.end()) is not None:
            return end
    return None


async def leave_the_clock(_now: int) -> None:
    """Nothing: nobody moves it."""
