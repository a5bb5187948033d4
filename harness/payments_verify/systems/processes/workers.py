"""Several worker processes behind one port: all are counted, one is killed, and all end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import uuid4

import httpx

from payments_verify.patience import comes_true
from payments_verify.surface import LoneProcess, Server
from payments_verify.surface.at_limits import accepts, ends_otherwise
from payments_verify.surface.contract import made_again
from payments_verify.surface.readiness import ready_all_the_same
from payments_verify.surface.samples import Metrics, metrics_of, metrics_until, wrong_counts, wrong_scrape
from payments_verify.systems.processes.forked import Process
from payments_verify.systems.processes.killed_worker import LIMIT_S, Apart, wrong_of_the_killed
from payments_verify.systems.processes.proc import listens, runs, workers
from payments_verify.systems.server import lone_process

_WORKERS = 2
_REQUESTS = 8
_AGAIN_S = 0.2
_SETTINGS: Mapping[str, str] = {
    "PAYMENTS_TOKENS": "",
    "PAYMENTS_SWEEP_INTERVAL_S": "0.05",
    "PAYMENTS_POOL_TIMEOUT_S": "1",
    "PAYMENTS_DRAIN_S": "3600",
}
_CLOSE = ("Connection", b"close")  # the next request may come to another worker
_JSON = (("Content-Type", b"application/json"), _CLOSE)
_COUNTED = "http_request_duration_seconds"


async def wrong_workers(dsn: str) -> str | None:
    """What several workers do otherwise than one process; ``None`` if nothing.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    async with lone_process(dsn, dsn, _SETTINGS, _WORKERS) as process:
        try:
            return await _wrong(process, dsn)
        except httpx.TransportError as error:
            return f"I9: of {_WORKERS} workers one leaves a request without an answer: {type(error).__name__}"


async def _wrong(process: LoneProcess, dsn: str) -> str | None:
    if not await comes_true(lambda: len(workers(process.pid)) == _WORKERS, LIMIT_S):
        return f"I9: {_WORKERS} workers were asked for, and {len(workers(process.pid))} run"
    payment = await _served(process)
    wrong = await made_again([process.witness] * _REQUESTS)
    wrong = wrong or await _miscounted(process) or await wrong_of_the_killed(process, dsn, payment)
    if wrong is None:
        payment = await _served(process)
        wrong = await _miscounted(process)
    return wrong or await _ends_otherwise(process, payment)


async def _ends_otherwise(process: LoneProcess, payment: str) -> str | None:
    """Two SIGTERM end all workers; the first makes them say that they are about to, and no more."""
    known, server = workers(process.pid), process.server
    process.terminate()
    if (wrong := await ready_all_the_same(Apart(process), "SIGTERM has come to several workers")) is not None:
        return wrong
    repeating: list[asyncio.Task[None]] = []

    def terminate() -> None:
        repeating.append(asyncio.create_task(_repeat(process, known)))

    ending = replace(process, terminate=terminate)
    wrong, listens_on = await asyncio.gather(
        ends_otherwise(ending, payment), _listens_for_nobody(server, known)
    )
    repeating[0].cancel()
    left = [each for each in known if runs(each)]
    return wrong or listens_on or (f"I9: SIGTERM, and {len(left)} workers have not ended" if left else None)


async def _repeat(process: LoneProcess, known: Collection[int]) -> None:
    """Send SIGTERM until no worker listens: one that comes before the first has been seen is lost."""
    while any(listens(each, process.server.port) for each in known):
        process.terminate()
        await asyncio.sleep(_AGAIN_S)


async def _listens_for_nobody(server: Server, known: Collection[int]) -> str | None:
    """Whether somebody listens once no worker does: who connects then gets no answer."""
    if not await comes_true(lambda: not any(listens(each, server.port) for each in known), LIMIT_S):
        return f"I9: SIGTERM, and workers listen on for {LIMIT_S:g} s"
    told = "I9: SIGTERM, no worker listens any more, and connections are accepted all the same"
    return told if await accepts(server) else None


async def outlives_its_parent(parent: Process) -> str | None:
    """Kill the process that has started workers: they end, and leave the port to others.

    Args:
        parent: it; it serves, and has ended afterwards.
    """
    if not await comes_true(lambda: len(workers(parent.pid)) == _WORKERS, LIMIT_S):
        return f"I9: {_WORKERS} workers were asked for, and {len(workers(parent.pid))} run"
    known = workers(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    if await comes_true(lambda: not any(map(runs, known)), LIMIT_S):
        return None
    left = [each for each in known if runs(each)]
    for each in left:
        os.kill(each, signal.SIGKILL)
    return f"I9: the parent of {_WORKERS} workers was killed, and {len(left)} serve on for {LIMIT_S:g} s"


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


async def _miscounted(process: LoneProcess) -> str | None:
    """Whether some worker does not tell what all of them have answered, once none is late to count it."""
    await metrics_until(Apart(process), lambda now: _wrong_counts(process, now) is None, LIMIT_S)
    if (unread := await wrong_scrape(Apart(process))) is not None:
        return unread
    for _ in range(_REQUESTS):
        if (wrong := _wrong_counts(process, await metrics_of(Apart(process)))) is not None:
            return f"I12: of {_WORKERS} workers one does not say what happened: {wrong}"
    return None


def _wrong_counts(process: LoneProcess, metrics: Metrics) -> str | None:
    answered = process.witness.requests.items()
    expected = {f"{_COUNTED}_count {', '.join(each)}": count for each, count in answered}
    return wrong_counts([], [each for each in metrics if each.name.startswith(_COUNTED)], expected)
