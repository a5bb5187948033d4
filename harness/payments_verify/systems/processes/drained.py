"""A process that was told to end, and serves on for a while; told again, it answers what has come."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

import httpx
import psycopg

from payments_verify.patience import patient
from payments_verify.surface.readiness import ready_all_the_same, unready_for_good
from payments_verify.systems.processes.asked import LIMIT_S, WAITING, Asked, Served, comes, send, serving
from payments_verify.systems.processes.forked import Forks

_NOBODY = f"/payments/{uuid4()}"
_READ = f"GET {_NOBODY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_AHEAD, _LOOK_S = 3, 0.02
_LONGER_S = 0.25
"""Longer than a server looks whether it is to end."""
_ANSWERS = (b"404", b"503", b"504")
"""There is no such payment, or others have it for too long on a busy machine."""
_ONE = {"PAYMENTS_POOL_MAX": "1"}
"""Fewer connections than are kept open by default."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")


async def wrong_end(served: Served, dsn: str, name: str) -> str | None:
    """What becomes of requests that are sent ahead as it is told to end, and told again, if it is wrong.

    Args:
        served: drains for an hour.
        dsn: its database.
        name: by which it is known there.
    """
    return await _wrong(served, dsn, name, [signal.SIGTERM, signal.SIGTERM])


async def wrong_ends(made: Forks, dsn: str) -> str | None:
    """The same, of processes that do not drain: each is told once, by a signal that is not SIGTERM.

    Args:
        made: starts processes.
        dsn: a prepared database.
    """
    for each in (signal.SIGINT, signal.SIGHUP):
        async with serving(made, dsn, each.name, "--port", "0", **_ONE) as served:
            if (wrong := await _wrong(served, dsn, each.name, [each])) is not None:
                return wrong
    return None


async def wrong_hangup(served: Served) -> str | None:
    """Whether a terminal that is closed means something to a process that ignores it (nohup)."""
    served.process.terminate(signal.SIGHUP)
    await asyncio.sleep(_LONGER_S)
    return await unready_for_good(Asked(served), "SIGHUP, which is ignored (nohup),")


async def _wrong(served: Served, dsn: str, name: str, signals: Sequence[signal.Signals]) -> str | None:
    *drains, ends = signals
    connection = reader, writer = await asyncio.open_connection(served.host, served.port)
    told = f"I9: a process is told to end ({', '.join(each.name for each in signals)})"
    try:
        async with asyncio.timeout(patient(LIMIT_S)):
            wrong = None
            for each in drains:
                wrong = await _wrong_ahead(served, dsn, name, connection, each, is_last=False)
                await asyncio.sleep(_LONGER_S)
                await send(served, "GET", _NOBODY)  # on another connection
                writer.write(_READ)  # the connection lasts
                wrong = wrong or await _wrong_answer(reader, is_last=False)
            wrong = wrong or await _wrong_ahead(served, dsn, name, connection, ends, is_last=True)
            if wrong is None and await reader.read():
                wrong = "more is sent than was asked for"
            code = 0 if wrong else (await served.process.ended()).code
    except TimeoutError:
        return f"{told}: it has not done so for {LIMIT_S:g} s"
    except (OSError, EOFError, httpx.TransportError) as error:
        return f"{told}, and a connection with requests on it has ended: {type(error).__name__}"
    finally:
        writer.close()
    if wrong is not None:
        return wrong if wrong.startswith("I9: ") else f"{told}: {wrong}"
    return None if code == 0 else f"{told}, and the exit code is {code}"


async def _wrong_ahead(
    served: Served,
    dsn: str,
    name: str,
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    by: signal.Signals,
    *,
    is_last: bool,
) -> str | None:
    """Requests come whole on one connection; while the first waits for a lock the process is told to end."""
    reader, writer = connection
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE payments")
        writer.write(_READ * _AHEAD)
        if not await comes(dsn, WAITING, (name,), 1):
            return "a request before that does not come to the database"
        served.process.terminate(by)
        if is_last:
            await _until_closed(served)
        elif (wrong := await ready_all_the_same(Asked(served), "the process drains")) is not None:
            return wrong
    for number in range(_AHEAD):
        if (wrong := await _wrong_answer(reader, is_last=is_last)) is not None:
            return f"{wrong}, to request {number + 1} of {_AHEAD} that were sent ahead"
    return None


async def _until_closed(served: Served) -> None:
    with suppress(OSError):
        while True:
            _, writer = await asyncio.open_connection(served.host, served.port)
            writer.close()
            await asyncio.sleep(_LOOK_S)


async def _wrong_answer(reader: asyncio.StreamReader, *, is_last: bool) -> str | None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    await reader.readexactly(int(length[1]) if length else 0)
    is_right = head.split(b" ")[1] in _ANSWERS and (is_last or b"\r\nconnection: close" not in head.lower())
    return None if is_right else f"the answer is {head.decode(errors='replace')!r}"
