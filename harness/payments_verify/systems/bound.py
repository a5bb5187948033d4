"""Services of others, with a binding: one that runs somewhere, and one that a command starts."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any

import httpx
import psycopg
from msgspec import structs

from payments_verify.binding import Binding, BoundClient, Clock, Locking, Names, from_environment
from payments_verify.binding.coverage import traits_of
from payments_verify.binding.values import as_datetime
from payments_verify.payments.clock_probe import why_clock_stays
from payments_verify.payments.row_holders import RowStatements, SqlRowHolder
from payments_verify.payments.service_under_test import OpenRowHolder, ServiceUnderTest, SweepError
from payments_verify.payments.traits import Traits
from pgweave import clock
from pgweave.gate import Gate
from pgweave.scheduler import GatedDatabase, Monitor, Turns
from pgweave.service.command import CommandError, RunningCommand, running_command
from pgweave.service.http_client import http_client
from pgweave.service.patience import last_printed
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import is_scheduling_point
from pgweave.visible import without_passwords

_REQUEST_LIMIT_S = 60.0
_SWEEP_LIMIT_S = 60.0

SweepBatch = Callable[[], Coroutine[Any, Any, int]]
SetClock = Callable[[int], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class StartedService:
    """A service that the harness starts, each time over a new and empty database.

    Attributes:
        command: the shell command, see `running_command`.
        binding: its interface.
        new_database: makes an empty database, and gives its connection string.
        ours: whether the database's server is one that the harness has started on this machine.
    """

    command: str
    binding: Binding
    new_database: Callable[[], str]
    ours: bool = True

    def with_its_clock(self) -> tuple[StartedService, str | None]:
        """The service as it can be examined, and why its clock is not moved, if it is not.

        Whatever keeps it from being started is left for those who examine it.
        """
        if not self.traits.moves_clock:
            return self, None
        within = self.traits.expires_within_s
        if within is not None:
            return self._in_real_time(), f"the service expires payments by itself, within {within:g} s"

        async def run() -> str | None:
            async with self.system() as system:
                return await why_clock_stays(system)

        try:
            why = asyncio.run(run())
        except (CommandError, psycopg.Error):
            why = None
        return (self, None) if why is None else (self._in_real_time(), why)

    def _in_real_time(self) -> StartedService:
        return replace(self, binding=structs.replace(self.binding, clock=Clock(by="none")))

    @property
    def traits(self) -> Traits:
        """What can be asked of it, and seen."""
        return traits_of(self.binding, moves_clock=self.binding.clock.by != "none")

    @asynccontextmanager
    async def system(self) -> AsyncIterator[ServiceUnderTest]:
        """The service as it is: its statements go to the database directly.

        Raises:
            CommandError: the command did not come to serve.
        """
        dsn = self.new_database()
        async with AsyncExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
            running, set_clock = await self._start(stack, dsn, dsn, output)
            http = await stack.enter_async_context(_http(running.url, self.binding))
            client = BoundClient(http, self.binding, Names(), self.traits.dates_authorizations)
            sweep = await self._sweep(stack, http, dsn)
            yield ServiceUnderTest(
                self.command,
                (client,),
                set_clock,
                sweep,
                self._open_row_holder(dsn, client.requests.id_of),
                traits=self.traits,
                id_of=client.requests.id_of,
                is_new=True,
                end=running.end,
                printed=partial(last_printed, output),
            )

    @asynccontextmanager
    async def gated(self) -> AsyncIterator[ServiceUnderTest]:
        """The service behind a gate.

        Raises:
            CommandError: the command did not come to serve.
        """
        dsn = self.new_database()
        async with AsyncExitStack() as stack:
            gate = await stack.enter_async_context(Gate.open(dsn, is_scheduling_point))
            monitor = await stack.enter_async_context(Monitor.connect(dsn))
            output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
            running, set_clock = await self._start(stack, gate.tcp_dsn, dsn, output)
            http = await stack.enter_async_context(_http(running.url, self.binding))
            # The instants of a real clock cannot be compared with the model's.
            dated = self.traits.moves_clock and self.traits.dates_authorizations
            client = BoundClient(http, self.binding, Names(), dated)
            catalog = Catalog.load(dsn, self.binding.clock.function)
            yield ServiceUnderTest(
                self.command,
                (client,),
                set_clock,
                await self._sweep(stack, http, gate.socket_dsn),
                self._open_row_holder(gate.socket_dsn, client.requests.id_of),
                GatedDatabase(gate, monitor, catalog, Turns(ours=self.ours)),
                traits=self.traits,
                id_of=client.requests.id_of,
                is_new=True,
                end=running.end,
                printed=partial(last_printed, output),
            )

    async def _start(
        self, stack: AsyncExitStack, dsn: str, direct: str, output: IO[bytes]
    ) -> tuple[RunningCommand, SetClock]:
        """Start the service on ``dsn``, and take its clock in hand."""
        by, function = self.binding.clock.by, self.binding.clock.function
        if by == "database":
            clock.install(direct, function)  # for the sessions that the service opens as it starts
        ready = self.binding.service.ready
        running = await stack.enter_async_context(
            running_command(self.command, {"DATABASE_URL": dsn}, ready, output)
        )
        if by == "database":
            clock.install(direct, function)  # for the function that the service has made
            return running, (await stack.enter_async_context(clock.DatabaseClock.connect(direct))).set
        if by == "none":
            return running, _leave_the_clock
        assert self.binding.clock.set is not None
        statement = self.binding.clock.set.replace("%", "%%").replace("{now}", "%s").encode()
        connection = await stack.enter_async_context(await _connected(direct))

        async def set_clock(now: int) -> None:
            await connection.execute(statement, [as_datetime(now)])

        return running, set_clock

    async def _sweep(self, stack: AsyncExitStack, http: httpx.AsyncClient, dsn: str) -> SweepBatch | None:
        sweep = self.binding.sweep
        if sweep is None or not sweep.ways:
            return None
        if sweep.request is not None:
            return _sweep_by_request(http, sweep.request)
        if sweep.sql is not None:
            connection = await stack.enter_async_context(await _connected(dsn))
            statement = sweep.sql.encode()

            async def sweep_by_sql() -> int:
                await connection.execute(statement)
                return 0

            return sweep_by_sql
        assert sweep.command is not None
        return _sweep_by_command(sweep.command, dsn)

    def _open_row_holder(self, dsn: str, id_of: Callable[[str], str]) -> OpenRowHolder | None:
        if self.binding.lock is None:
            return None
        return partial(SqlRowHolder.connect, dsn, _row_statements(self.binding.lock, self.binding, id_of))


@asynccontextmanager
async def service_at(url: str, binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    """A service that runs somewhere; nothing of it but its HTTP interface is touched.

    Raises:
        CommandError: nothing answers at the URL.
    """
    async with _http(url, binding) as http:
        try:
            await http.get(binding.service.ready)
        except httpx.TransportError as error:
            raise CommandError(f"nothing answers at {url}: {type(error).__name__} {error}") from None
        traits = traits_of(binding, moves_clock=False)
        client = BoundClient(http, binding, Names(), traits.dates_authorizations)
        request = binding.sweep.request if binding.sweep is not None else None
        sweep = None if request is None else _sweep_by_request(http, request)
        yield ServiceUnderTest(url, (client,), _leave_the_clock, sweep, traits=traits)


@asynccontextmanager
async def _http(url: str, binding: Binding) -> AsyncIterator[httpx.AsyncClient]:
    # A server may close a connection after an error, and the next request on it would have no answer.
    headers = from_environment(binding.service.headers)
    async with http_client(url, limit_s=_REQUEST_LIMIT_S, headers=headers) as http:
        yield http


def _row_statements(locking: Locking, binding: Binding, id_of: Callable[[str], str]) -> RowStatements:
    void = locking.void
    return RowStatements(
        _with_id(locking.hold),
        None if void is None else _with_id(void),
        binding.payment.states,
        id_of,
    )


def _with_id(statement: str) -> str:
    return statement.replace("%", "%%").replace("{payment}", "%s")


def _sweep_by_request(http: httpx.AsyncClient, request: str) -> SweepBatch:
    method, _, path = request.partition(" ")

    async def sweep() -> int:
        try:
            response = await http.request(method, path)
        except httpx.TransportError as error:
            raise SweepError(f"{request} was not answered: {type(error).__name__} {error}") from None
        if response.status_code >= 400:
            raise SweepError(f"{request} answered {response.status_code}: {response.text}")
        return 0

    return sweep


def _sweep_by_command(command: str, dsn: str) -> SweepBatch:
    shown = repr(without_passwords(command))

    async def sweep() -> int:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "DATABASE_URL": dsn},
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), _SWEEP_LIMIT_S)
        except TimeoutError:
            process.kill()
            raise SweepError(f"{shown} did not end within {_SWEEP_LIMIT_S:g} s") from None
        if process.returncode:
            complaints = without_passwords(printed.decode(errors="replace"))
            raise SweepError(f"{shown} ended with {process.returncode}: {complaints}")
        return 0

    return sweep


async def _connected(dsn: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def _leave_the_clock(_now: int) -> None:
    return None
