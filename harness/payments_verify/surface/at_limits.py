"""What a process answers at its limits and as it ends, to clients without tokens. It ends by being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from operator import not_
from time import perf_counter
from uuid import uuid4

import httpx

from payments_verify.binding import Response
from payments_verify.patience import ask_until, patient
from payments_verify.surface.answers import complaints, problem_of
from payments_verify.surface.exchange import Server, first_wrong
from payments_verify.surface.liveness import Hold
from payments_verify.surface.sources import from_elsewhere
from payments_verify.surface.unlogged import Secrets, on_the_wire, requests
from payments_verify.surface.witness import Witness
from payments_verify.surface.written import PAYMENT, UNKNOWN

_DEADLINE_S = 0.9
TIGHT: Mapping[str, str] = {
    "PAYMENTS_TOKENS": "",
    "PAYMENTS_POOL_MIN": "1",
    "PAYMENTS_POOL_MAX": "1",
    "PAYMENTS_MAX_REQUESTS": "2",
    "PAYMENTS_LOCK_TIMEOUT_MS": "600",
    "PAYMENTS_REQUEST_TIMEOUT_S": f"{_DEADLINE_S}",
    "PAYMENTS_SWEEP_INTERVAL_S": "3600",
    "PAYMENTS_LOG_LEVEL": "debug",
}
"""The settings of such a process. It has a sweeper, which has to end with it.

Of two captures of held payments the first waits for the lock until that is given up; the second waits for the
connection, then for its lock, and comes to its deadline.
"""

_TRIES = 5
"""In a process that is kept from computing, one request may be given up where another was to be."""
_BEAT_S = 0.02
_BETWEEN_S = 0.1
_IN_FLIGHT_S = 0.25
"""How long it goes on behind the closed door: longer than a server looks whether anything is to be done."""
_ENDS_WITHIN_S = 15.0
_FULL, _HELD, _LATE = "overloaded", "payment_busy", "deadline_exceeded"
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class LoneProcess:
    """A process that serves nobody else.

    Attributes:
        witness: of the process.
        server: where it listens.
        hold: holds a payment's lock from outside.
        waits: whether anybody waits for a lock.
        terminate: sends SIGTERM.
        ended: waits for the end of the process, and gives its exit code.
        pid: its process id.
        printed: all that it has printed.
        password: of its database, as it was told.
    """

    witness: Witness
    server: Server
    hold: Hold
    waits: Callable[[], Awaitable[bool]]
    terminate: Callable[[], None]
    ended: Callable[[], Awaitable[int]]
    pid: int = 0
    printed: Callable[[], str] = str
    password: str = ""


async def broken_at_limits(process: LoneProcess) -> str | None:
    """What it answers otherwise than it has to; ``None`` if nothing.

    Args:
        process: it; it has the settings `TIGHT`, and has ended afterwards.
    """
    payments = [str(uuid4()), str(uuid4())]
    for payment in payments:
        await _send(process, "PUT", f"/payments/{payment}", b'{"amount_cents": 500}')
        window = b'{"capture_window_seconds": 86400}'
        await _send(process, "POST", f"/payments/{payment}/authorize", window)
    ids = {
        PAYMENT: payments[0],
        UNKNOWN: str(uuid4()),
        "{own}": f"{process.server.host}:{process.server.port}",
    }
    wrong = await first_wrong(process.witness, process.server, from_elsewhere(), ids)
    secrets = await _with_secrets(process)
    wrong = wrong or await _refused_otherwise(process, payments)
    wrong = wrong or await ends_otherwise(process, payments[0])
    for payment in (secrets.payment, *payments):
        wrong = wrong or replace(secrets, payment=payment).found_in(process.printed())
    return wrong


async def _with_secrets(process: LoneProcess) -> Secrets:
    """Send what nobody may print, in requests of all kinds; whatever is answered."""
    secrets = replace(Secrets(), password=process.password)
    for each in requests(secrets):
        await process.witness.write(each.method, each.path, each.fields, each.body, token=each.token)
    for exchange in on_the_wire(secrets):
        meant = {"{host}": f"127.0.0.1:{process.server.port}", "{authorization}": "", UNKNOWN: str(uuid4())}
        await first_wrong(process.witness, process.server, [exchange], meant)
    return secrets


async def _refused_otherwise(process: LoneProcess, payments: Sequence[str]) -> str | None:
    """Have it refuse requests for each of its limits, and compare what it says."""
    told: dict[str, str] = {}
    for _ in range(_TRIES):
        async with AsyncExitStack() as stack:
            for payment in payments:
                await stack.enter_async_context(process.hold(payment))
            first = asyncio.create_task(_capture(process, payments[0]))
            await _until_waited_for(process, first)
            second = asyncio.create_task(_capture(process, payments[1]))
            await asyncio.sleep(_BETWEEN_S)
            third = asyncio.create_task(_send(process, "GET", f"/payments/{payments[0]}"))
            unhealthy = await _health_refused(process)
            await asyncio.wait((first, second, third))
        if unhealthy is not None:
            return unhealthy
        for each in (first, second, third):
            try:
                answer, seconds = each.result()
            except httpx.TransportError as error:
                return f"I9: a request at a limit has no answer: {type(error).__name__}"
            if answer.status_code == 200 and each is third:
                continue  # there was room
            problem, wrong = _refusal(answer)
            if problem == _LATE and seconds < _DEADLINE_S:
                wrong = f"told after {seconds:.3f} s, of {_DEADLINE_S} s"
            if wrong:
                return f"I9, I11: {answer.status_code} {problem}: {wrong}"
            told[problem] = answer.text
        if {_FULL, _HELD, _LATE} <= told.keys():
            return None
    missing = ", ".join(sorted({_FULL, _HELD, _LATE} - told.keys()))
    return f"I9, I11: no request at a limit was answered {missing}, but: {', '.join(told.values())}"


async def _health_refused(process: LoneProcess) -> str | None:
    """That it refuses those who ask how it is, as it refuses others."""
    for path in ("/healthz", "/readyz", "/metrics"):
        answer, _ = await _send(process, "GET", path)
        if answer.status_code == 503 and _refusal(answer)[0] == _FULL:
            return f"I9: a process that has as much to do as it may answers {path} with {answer.text}"
    return None


def _refusal(answer: Response) -> tuple[str, str]:
    """The problem type of a 503, and what is wrong with it."""
    if answer.status_code != 503:
        return "", f"a request for a held payment was answered {answer.text}"
    return problem_of(answer), "; ".join(complaints("POST", "", answer))


async def ends_otherwise(process: LoneProcess, payment: str) -> str | None:
    """Have it end with a request in flight: that is answered, nobody else is, and the exit code is 0.

    Args:
        process: it; it has ended afterwards.
        payment: an authorized payment of 500 cents.
    """
    async with process.hold(payment):
        last = asyncio.create_task(_capture(process, payment))
        await _until_waited_for(process, last)
        process.terminate()
        goes_on = await ask_until(partial(accepts, process.server), not_, _ENDS_WITHIN_S)
        await asyncio.sleep(_IN_FLIGHT_S)
    try:
        answer, _ = await last
    except httpx.TransportError as error:
        return f"I9: SIGTERM, and a request that was in flight has no answer: {type(error).__name__}"
    problem, wrong = ("", "") if answer.status_code == 201 else _refusal(answer)
    if wrong or problem not in ("", _HELD, _LATE) or "idempotent-replayed" in answer.headers:
        return f"I9, I11: SIGTERM, and a request in flight was answered {answer.status_code} {answer.text}"
    if goes_on:
        return f"I9: SIGTERM, and connections are still accepted after {_ENDS_WITHIN_S:g} s"
    try:
        async with asyncio.timeout(patient(_ENDS_WITHIN_S)):
            code = await process.ended()
    except TimeoutError:
        return f"I9: SIGTERM, and the process has not ended for {_ENDS_WITHIN_S:g} s, with nothing to do"
    return None if code == 0 else f"I9: SIGTERM, and the exit code is {code}"


async def accepts(server: Server) -> bool:
    """Whether somebody accepts a connection there."""
    try:
        _, writer = await asyncio.open_connection(server.host, server.port)
    except OSError:
        return False
    writer.close()
    return True


async def _until_waited_for(process: LoneProcess, request: asyncio.Task[tuple[Response, float]]) -> None:
    while not request.done() and not await process.waits():  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(_BEAT_S)


async def _capture(process: LoneProcess, payment: str) -> tuple[Response, float]:
    path = f"/payments/{payment}/captures"
    return await _send(process, "POST", path, b'{"amount_cents": 500}', {"Idempotency-Key": "at limits"})


async def _send(
    process: LoneProcess,
    method: str,
    path: str,
    body: bytes | None = None,
    fields: Mapping[str, str] | None = None,
) -> tuple[Response, float]:
    """The answer to a request, and how long it took, in seconds."""
    began = perf_counter()
    headers = {**({} if body is None else _JSON), **(fields or {})}
    written = tuple((name, value.encode()) for name, value in headers.items())
    answer = await process.witness.write(method, path, written, body)
    return answer, perf_counter() - began
