"""Whether a process says that it is not ready, for each reason there is, and is ready again afterwards."""

from __future__ import annotations

import asyncio
import re

from payments_verify.binding import Http
from payments_verify.surface.samples import metrics_of

LIMIT_S = 20.0
"""How late a process may be to say so: an answer is fresh for 1 s, and what is silent is waited for for 2 s;
a machine with much else to do takes longer."""

_BEAT_S = 0.01
_UNREADY = 503
_STOPPED = re.compile(r'^payments_background_task_running\{task="(\w+)"\} 0\.0$', re.MULTILINE)


async def ready_all_the_same(http: Http, reason: str) -> str | None:
    """That a process goes on saying that it is ready, if it does, though it is not for this reason."""
    status = await _awaited(http, _UNREADY)
    return None if status == _UNREADY else f"I9: {reason}, and /readyz answers {status} for {LIMIT_S:g} s"


async def unready_for_good(http: Http, reason: str) -> str | None:
    """That a process does not come to say that it is ready, if it does not, though this reason is gone."""
    status = await _awaited(http, 200)
    return None if status == 200 else f"I9: {reason} is over, and /readyz answers {status} for {LIMIT_S:g} s"


async def runs_all_the_same(http: Http, name: str) -> str | None:
    """That a process does not say in its metrics that a task has stopped, if it does not."""
    stopped = _STOPPED.findall(await metrics_of(http))
    return None if stopped else f"I9: {name} has ended, and /metrics says that everything runs"


async def _awaited(http: Http, wanted: int) -> int:
    """The status of ``/readyz`` once it is the one that is wanted, or the last one."""
    deadline = asyncio.get_running_loop().time() + LIMIT_S
    while True:
        answer = await http.request("GET", "/readyz", headers={}, json=None)
        if answer.status_code == wanted or asyncio.get_running_loop().time() > deadline:
            return answer.status_code
        await asyncio.sleep(_BEAT_S)
