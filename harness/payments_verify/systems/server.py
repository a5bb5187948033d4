"""The service as it is run: processes of ``payments-core serve``, spoken to over sockets."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import IO

import httpx
from psycopg import AsyncConnection

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.binding import own_client
from payments_verify.patience import patient
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.service.row_holders import SqlRowHolder
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.surface import TIGHT, FirstAnswers, LoneProcess, OwnSurface, Server, Witness
from payments_verify.systems.application import OwnTokens
from payments_verify.systems.database import password_of
from payments_verify.systems.in_process import expire_batch
from pgweave.clock import DatabaseClock
from pgweave.service.http_client import http_client
from pgweave.service.patience import comes_to_serve, last_printed
from pgweave.service.process_group import end_group

SWEEP_EVERY_S = 0.1
"""How often a service under stress expires payments by itself: many times in a round."""

STOP_LIMIT_S = 30.0
"""How long a server process may take to end once it is asked to."""

_SWEPT_AT_A_TIME = 2  # so few that others can hold them all
_REQUEST_LIMIT_S = 30.0
_PROBE_LIMIT_S = 2.0
_SWEPT_LIMIT_S = 10.0
_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
_SERVING = re.compile(r"serving on (http://\S+)")


class ServerError(RuntimeError):
    """A server process did not start; the message has what it printed."""


@asynccontextmanager
async def servers(
    dsn: str, count: int, direct: str | None = None, *, sweep_every_s: float = 0.0
) -> AsyncIterator[ServiceUnderTest]:
    """``count`` server processes on one database, which has a clock that can be set.

    Args:
        dsn: where they connect.
        count: how many.
        direct: the database itself, for the harness's own sessions, where ``dsn`` is that of a pooler.
        sweep_every_s: how often the last of them expires payments by itself, in seconds; 0 for never.

    Raises:
        ServerError: if one of them does not start.
    """
    sweeps = [0.0] * (count - 1) + [sweep_every_s]
    async with AsyncExitStack() as stack:
        made = OwnTokens.make()
        urls = [await stack.enter_async_context(server_process(dsn, made.accepted, each)) for each in sweeps]
        first: FirstAnswers = {}
        witnesses = [await stack.enter_async_context(_witness(url, made.own, first)) for url in urls]
        own = direct or dsn
        clock = await stack.enter_async_context(DatabaseClock.connect(own))
        pool = await stack.enter_async_context(make_pool(Settings(database_url=own)))
        store = postgres_store(pool)
        name = f"{count} server process{'es' if count > 1 else ''}"
        yield ServiceUnderTest(
            name,
            tuple(map(own_client, witnesses)),
            clock.set,
            partial(expire_batch, store),
            partial(SqlRowHolder.connect, own),
            traits=replace(EVERYTHING, expires_within_s=_SWEPT_LIMIT_S if sweep_every_s else None),
            surface=OwnSurface(
                witnesses,
                made.of_scope,
                [_server(url, made.own) for url in urls],
                # Where processes sweep, load is what is looked at.
                None if sweep_every_s else partial(lone_process, dsn, own),
            ),
        )


@asynccontextmanager
async def server_process(dsn: str, accepted: str = "", sweep_every_s: float = 0.0) -> AsyncIterator[str]:
    """One server process on a free port, stopped with SIGTERM at the end; yields its URL.

    Args:
        dsn: its database.
        accepted: the hashes of the tokens that it asks for, separated by commas; it asks for none if empty.
        sweep_every_s: how often it expires payments by itself, in seconds; 0 for never.

    Raises:
        ServerError: if it does not start.
    """
    settings = {
        "PAYMENTS_TOKENS": accepted,
        "PAYMENTS_SWEEP_INTERVAL_S": f"{sweep_every_s}",
        "PAYMENTS_SWEEP_BATCH": f"{_SWEPT_AT_A_TIME}",
    }
    async with _started(dsn, settings) as (url, _process, _printed):
        yield url


@asynccontextmanager
async def lone_process(
    dsn: str, direct: str, settings: Mapping[str, str] = TIGHT, workers: int = 1
) -> AsyncIterator[LoneProcess]:
    """One without tokens, whose payments can be held; see `broken_at_limits`.

    Args:
        dsn: its database.
        direct: the database itself, for the harness's own sessions, where ``dsn`` is that of a pooler.
        settings: its own; tight limits if not given.
        workers: server processes that it starts.

    Raises:
        ServerError: if it does not start.
    """
    async with (
        _started(dsn, settings, workers) as (url, process, printed),
        _witness(url, "", {}) as witness,
        await AsyncConnection.connect(direct, autocommit=True) as connection,
    ):

        @asynccontextmanager
        async def hold(payment: str) -> AsyncIterator[None]:
            async with SqlRowHolder.connect(direct) as holder:
                await holder.lock(payment)
                yield
                await holder.roll_back()

        async def waits() -> bool:
            return await (await connection.execute(_WAITS)).fetchone() == (True,)

        yield LoneProcess(
            *(witness, _server(url, ""), hold, waits, process.terminate, process.wait, process.pid),
            printed=printed,
            password=password_of(dsn),
        )


@asynccontextmanager
async def _started(
    dsn: str, settings: Mapping[str, str], workers: int = 1
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process, Callable[[], str]]]:
    """A server process, its URL, and all that it has printed so far."""
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "payments_core", "serve", "--port", "0", "--workers", str(workers)),
            stdout=output,
            stderr=output,
            start_new_session=True,  # the terminal's Ctrl-C is for the harness, which ends it in order
            env={
                **os.environ,
                "DATABASE_URL": dsn,
                "PAYMENTS_LOG_LEVEL": "warning",
                **settings,
            },
        )
        try:
            yield await _url(process, output), process, lambda: last_printed(output, _size(output))
        finally:
            await end_group(process, STOP_LIMIT_S)


def _size(output: IO[bytes]) -> int:
    return os.fstat(output.fileno()).st_size


async def _url(process: asyncio.subprocess.Process, output: IO[bytes]) -> str:
    def url() -> str | None:
        found = _SERVING.search(last_printed(output))
        return None if found is None else found[1]

    async def serves() -> bool:
        at = url()
        return at is not None and await answers(at)

    if await comes_to_serve(process, output, serves):
        return url() or ""
    ended = "it did nothing more" if process.returncode is None else f"exit code {process.returncode}"
    raise ServerError(f"payments-core serve did not start ({ended}); it printed:\n{last_printed(output)}")


async def answers(url: str) -> bool:
    """Whether a server process is ready."""
    async with http_client(limit_s=_PROBE_LIMIT_S) as http:
        try:
            return (await http.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


def _server(url: str, token: str) -> Server:
    at = httpx.URL(url)
    assert at.port is not None
    return Server(at.host, at.port, f"Bearer {token}")


@asynccontextmanager
async def _witness(url: str, token: str, first: FirstAnswers) -> AsyncIterator[Witness]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http_client(
        url, limit_s=patient(_REQUEST_LIMIT_S), headers=headers, connections_kept=100
    ) as http:
        yield Witness(http, first)
