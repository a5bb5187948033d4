"""How the sweep of somebody else's service is run: by a request, by SQL, or by a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import httpx
import psycopg

from payments_verify.binding import Http, Sweep
from payments_verify.binding.answers import is_expected
from payments_verify.binding.requests import writer_of
from payments_verify.patience import patient
from payments_verify.payments.service.under_test import SweepError
from pgweave.service.process_group import end_group
from pgweave.visible import without_passwords

SweepBatch: TypeAlias = Callable[[], Coroutine[Any, Any, int]]
"""Runs the sweep; nobody counts what it expires, so it gives 0."""

_LIMIT_S = 60.0
_STOP_LIMIT_S = 5.0


async def open_sweep(
    sweep: Sweep | None,
    http: Http,
    dsn: str | None,
    stack: AsyncExitStack,
    environment: Mapping[str, str] = MappingProxyType({}),
    saved: Mapping[str, str | int] = MappingProxyType({}),
) -> SweepBatch | None:
    """How the harness runs a sweep; ``None`` if it cannot.

    Args:
        sweep: how the binding says that it is run.
        http: carries requests to the service.
        dsn: the service's database, if the harness has it.
        stack: closes the connection of a sweep by SQL.
        environment: what a command gets: the service's own.
        saved: what the answers to ``setup`` have named.
    """
    if sweep is None:
        return None
    if sweep.request is not None:
        return partial(_sweep_by_request, http, sweep, saved)
    if dsn is None:
        return None
    if sweep.command is not None:
        return partial(_sweep_by_command, sweep.command, environment)
    if sweep.sql is None:
        return None
    opening = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    return partial(_sweep_by_sql, await stack.enter_async_context(opening), sweep.sql)


async def _sweep_by_request(http: Http, sweep: Sweep, saved: Mapping[str, str | int]) -> int:
    method, path, headers, body = writer_of(sweep.asked)(saved)
    try:
        response = await http.request(method, path, headers=headers, json=body)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise SweepError(f"{sweep.request} was not answered: {type(error).__name__} {error}") from None
    if not is_expected(response, sweep.answers):
        told = "; none of sweep.answers in the binding is so" if sweep.answers else ""
        raise SweepError(f"{sweep.request} answered {response.status_code}: {response.text}{told}")
    return 0


async def _sweep_by_sql(connection: psycopg.AsyncConnection, statement: str) -> int:
    await connection.execute(statement.encode())
    return 0


async def _sweep_by_command(command: str, environment: Mapping[str, str]) -> int:
    shown = repr(without_passwords(command))
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # a group of its own, which ends with it
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(patient(_LIMIT_S)):
            printed, _ = await process.communicate()
    except TimeoutError:
        raise SweepError(f"{shown} did not end within {_LIMIT_S:g} s") from None
    finally:
        if process.returncode is None:
            await end_group(process, _STOP_LIMIT_S)
    if process.returncode:
        complaints = without_passwords(printed.decode(errors="replace"))
        raise SweepError(f"{shown} ended with {process.returncode}: {complaints}")
    return 0
