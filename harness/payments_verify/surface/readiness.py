"""Whether a process says that it is not ready, for each reason there is, and is ready again afterwards."""

from __future__ import annotations

import httpx

from payments_verify.binding import Http, Response
from payments_verify.patience import ask_until
from payments_verify.surface.samples import metrics_of, stopped_tasks

LIMIT_S = 20.0
"""How late a process may be to say so: an answer is fresh for 1 s, and what is silent is waited for for 2 s;
a machine with much else to do takes longer."""

_OK, _UNREADY, _NO_ANSWER = 200, 503, 500


async def ready_all_the_same(http: Http, reason: str) -> str | None:
    """That a process goes on saying that it is ready, though it is not for this reason, or is dead."""
    status = (await awaited(http, _UNREADY, LIMIT_S)).status_code
    if status != _UNREADY:
        return f"I9: {reason}, and /readyz answers {status} for {LIMIT_S:g} s"
    alive = (await http.request("GET", "/healthz", headers={}, json=None)).status_code
    return None if alive == _OK else f"I9: {reason}, and /healthz answers {alive}: the process lives"


async def unready_for_good(http: Http, reason: str) -> str | None:
    """That a process does not come to say that it is ready, if it does not, though this reason is gone."""
    status = (await awaited(http, _OK, LIMIT_S)).status_code
    return None if status == _OK else f"I9: {reason} is over, and /readyz answers {status} for {LIMIT_S:g} s"


async def runs_all_the_same(http: Http, reason: str) -> str | None:
    """That a process does not say in its metrics that a task has stopped, though for this reason one has."""
    stopped = stopped_tasks(await metrics_of(http))
    return None if stopped else f"I9: {reason}, and /metrics says that everything runs"


async def awaited(http: Http, wanted: int, within_s: float) -> Response:
    """The answer of ``/readyz`` once its status is the one that is wanted, or the last one."""

    async def ask() -> Response:
        try:
            return await http.request("GET", "/readyz", headers={}, json=None)
        except httpx.TransportError:
            return httpx.Response(_NO_ANSWER)

    return await ask_until(ask, lambda answer: answer.status_code == wanted, within_s)
