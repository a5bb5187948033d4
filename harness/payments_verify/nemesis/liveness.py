"""Whether what has to happen does, once all is repaired: what is due expires, and every process sweeps."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from payments_verify.binding import Http
from payments_verify.nemesis.deployment import Deployment
from payments_verify.surface.samples import metrics_of

EXPIRY_LIMIT_S = 20.0
"""How long what is due may stay so: by `specs/operations.md` 16.6 s with the settings of a deployment."""

_BEAT_S = 0.02
_LAST_SWEEP = re.compile(r"^payments_last_sweep_timestamp_seconds (\S+)$", re.MULTILINE)
_STOPPED = re.compile(r'^payments_background_task_running\{task="(\w+)"\} 0\.0$', re.MULTILINE)
_DUE = b"SELECT count(*) FROM payments WHERE state = 'authorized' AND capture_expires_at <= payment_clock()"


async def stands_still(deployment: Deployment, pools: Sequence[Http]) -> list[str]:
    """What does not go on, if anything: due payments, sweepers, tasks beside the requests."""
    found = await asyncio.gather(_due(deployment), *map(_process, pools))
    return [each for each in found if each is not None]


async def _due(deployment: Deployment) -> str | None:
    deadline = asyncio.get_running_loop().time() + EXPIRY_LIMIT_S
    async with deployment.cluster.connect() as connection:
        while True:
            row = await (await connection.execute(_DUE)).fetchone()
            assert row is not None
            if not row[0]:
                return None
            if asyncio.get_running_loop().time() > deadline:
                return f"I9: {row[0]} payments are due, and have not expired for {EXPIRY_LIMIT_S:g} s"
            await asyncio.sleep(_BEAT_S)


async def _process(http: Http) -> str | None:
    """See that a process sweeps once more, and that it is ready with all that it runs."""
    deadline = asyncio.get_running_loop().time() + EXPIRY_LIMIT_S
    before = _LAST_SWEEP.findall(await metrics_of(http))
    while (now := await metrics_of(http)) and _LAST_SWEEP.findall(now) == before:
        if asyncio.get_running_loop().time() > deadline:
            return f"I9: a process has not swept for {EXPIRY_LIMIT_S:g} s"
        await asyncio.sleep(_BEAT_S)
    if stopped := _STOPPED.findall(now):
        return f"I9: a process says that it does not run any more: {', '.join(stopped)}"
    return await _unready(http, deadline)


async def _unready(http: Http, deadline: float) -> str | None:
    """See that a process is ready. Its connection for that may be dead, and it learns so as it is asked."""
    while (ready := await http.request("GET", "/readyz", headers={}, json=None)).status_code != 200:
        if asyncio.get_running_loop().time() > deadline:
            return f"I9: a process has not been ready for {EXPIRY_LIMIT_S:g} s: {ready.text}"
        await asyncio.sleep(_BEAT_S)
    return None
