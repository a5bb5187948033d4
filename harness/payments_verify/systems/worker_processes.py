"""Several worker processes behind one port: one is killed, all are counted, and all end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from uuid import uuid4

import httpx

from payments_verify.surface import LoneProcess
from payments_verify.surface.at_limits import ends_otherwise
from payments_verify.surface.samples import Metrics, read_metrics, wrong_counts
from payments_verify.systems.server import lone_process

_WORKERS = 2
_REQUESTS = 8
_LIMIT_S = 30.0
_BEAT_S = 0.02
_SETTINGS: Mapping[str, str] = {"PAYMENTS_TOKENS": "", "PAYMENTS_SWEEP_INTERVAL_S": "3600"}
_CLOSE = ("Connection", b"close")  # the next request may come to another worker
_JSON = (("Content-Type", b"application/json"), _CLOSE)
_EACH: Mapping[str, int] = {
    "http_request_duration_seconds_count PUT, /payments/{payment_id}, 201": 1,
    "http_request_duration_seconds_count POST, /payments/{payment_id}/authorize, 200": 1,
    "pool_wait_seconds_count": 2,
    "lock_wait_seconds_count": 1,
}
"""What a payment that is created and authorized adds to what is counted."""


async def wrong_workers(dsn: str) -> str | None:
    """What several workers do otherwise than one process; ``None`` if nothing.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    async with lone_process(dsn, dsn, _SETTINGS, _WORKERS) as process:
        try:
            return await _wrong(process)
        except httpx.TransportError as error:
            return f"I9: of {_WORKERS} workers one leaves a request without an answer: {type(error).__name__}"


async def _wrong(process: LoneProcess) -> str | None:
    if not await _comes_true(lambda: len(_workers(process.pid)) == _WORKERS):
        return f"I9: {_WORKERS} workers were asked for, and {len(_workers(process.pid))} run"
    before = await _metrics(process)
    payment = await _served(process)
    wrong = await _miscounted(process, before, _REQUESTS) or await _not_replaced(process)
    if wrong is None:
        await _served(process)
        wrong = await _miscounted(process, before, 2 * _REQUESTS)
    workers = _workers(process.pid)
    wrong = wrong or await ends_otherwise(process, payment)
    left = [each for each in workers if _runs(each)]
    return wrong or (f"I9: SIGTERM, and {len(left)} workers have not ended" if left else None)


async def _served(process: LoneProcess) -> str:
    """Create and authorize payments, each request on a connection of its own; the last of them.

    Raises:
        httpx.TransportError: one is not answered.
    """
    for _ in range(_REQUESTS):
        payment = str(uuid4())
        await process.witness.write("PUT", f"/payments/{payment}", _JSON, b'{"amount_cents": 500}')
        window = b'{"capture_window_seconds": 86400}'
        await process.witness.write("POST", f"/payments/{payment}/authorize", _JSON, window)
    return payment


async def _metrics(process: LoneProcess) -> Metrics:
    return read_metrics((await process.witness.write("GET", "/metrics", (_CLOSE,))).text)


async def _miscounted(process: LoneProcess, before: Metrics, payments: int) -> str | None:
    """Whether some worker does not tell what all of them have counted."""
    expected = {name: count * payments for name, count in _EACH.items()}
    for _ in range(_REQUESTS):
        if (wrong := wrong_counts(before, await _metrics(process), expected)) is not None:
            return f"I12: of {_WORKERS} workers one does not say what happened: {wrong}"
    return None


async def _not_replaced(process: LoneProcess) -> str | None:
    """Kill a worker; it has to be replaced."""
    killed, *_ = before = _workers(process.pid)
    os.kill(killed, signal.SIGKILL)
    if await _comes_true(lambda: len(_workers(process.pid) - {killed}) == len(before)):
        return None
    return f"I9: a worker was killed, and no other has come within {_LIMIT_S:g} s"


async def _comes_true(is_true: Callable[[], bool]) -> bool:
    deadline = monotonic() + _LIMIT_S
    while not is_true():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(_BEAT_S)
    return True


def _workers(parent: int) -> set[int]:
    """The processes that a server has started to serve."""
    return {pid for pid in _children(parent) if b"spawn_main" in _read(pid, "cmdline") and _runs(pid)}


def _children(parent: int) -> Iterator[int]:
    for each in Path("/proc").glob("[0-9]*"):
        pid = int(each.name)
        if _status(pid)[1:2] == [str(parent)]:
            yield pid


def _runs(pid: int) -> bool:
    """Whether there is such a process; one that nobody has asked for since it ended is none."""
    return _status(pid)[:1] not in ([], ["Z"])


def _status(pid: int) -> list[str]:
    """The state of a process, and its parent; nothing if there is none."""
    return _read(pid, "stat").rpartition(b")")[2].decode().split()[:2]


def _read(pid: int, what: str) -> bytes:
    with suppress(OSError):
        return (Path("/proc") / str(pid) / what).read_bytes()
    return b""
