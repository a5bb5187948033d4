"""Whether what has to happen does, once all is repaired: what is due expires, and every process sweeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from operator import not_

from payments_verify.binding import Http
from payments_verify.nemesis.database_faults import count_of
from payments_verify.nemesis.deployment import Deployment
from payments_verify.patience import ask_until
from payments_verify.surface.readiness import awaited
from payments_verify.surface.samples import after_a_sweep, last_sweep, metrics_of, stopped_tasks

EXPIRY_LIMIT_S = 20.0
"""How long what is due may stay so: by `specs/operations.md` 16.6 s with the settings of a deployment."""

_DUE = "SELECT count(*) FROM payments WHERE state = 'authorized' AND capture_expires_at <= payment_clock()"


async def stands_still(deployment: Deployment, pools: Sequence[Http]) -> list[str]:
    """What does not go on, if anything: due payments, sweepers, tasks beside the requests."""
    found = await asyncio.gather(_due(deployment), *map(_process, pools))
    return [each for each in found if each is not None]


async def _due(deployment: Deployment) -> str | None:
    async with deployment.cluster.connect() as connection:
        due = await ask_until(partial(count_of, connection, _DUE), not_, EXPIRY_LIMIT_S)
    return f"I9: {due} payments are due, and have not expired for {EXPIRY_LIMIT_S:g} s" if due else None


async def _process(http: Http) -> str | None:
    """See that a process sweeps once more, and that it is ready with all that it runs."""
    before = await metrics_of(http)
    now = await after_a_sweep(http, before, EXPIRY_LIMIT_S)
    if last_sweep(now) == last_sweep(before):
        return f"I9: a process has not swept for {EXPIRY_LIMIT_S:g} s"
    if stopped := stopped_tasks(now):
        return f"I9: a process says that it does not run any more: {', '.join(stopped)}"
    # Its connection for that may be dead, and it learns so as it is asked.
    ready = await awaited(http, 200, EXPIRY_LIMIT_S)
    if ready.status_code != 200:
        return f"I9: a process has not been ready for {EXPIRY_LIMIT_S:g} s: {ready.text}"
    return None
