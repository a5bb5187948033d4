"""What a process keeps in memory of the requests that it has had: nothing that grows with their number."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

import payments_verify
import pgweave
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import guarded
from payments_verify.binding import Http
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.application import whole_application

_BOUND = 40
"""Bytes that memory may grow by with each request."""
_LONG = 60
"""Digits of a number in what a request says: whoever keeps a text keeps more than `_BOUND`."""
_FILLED = 1_100
"""So many requests fill what is kept within bounds."""
_ROUNDS = 3
"""So often in a row memory has to grow: what an interpreter keeps for its own use comes to an end."""
_PAUSE_S = 0.1
"""Within this, timers that were cancelled are gone, and what is counted later is counted."""
_NOT_THE_SERVICE = tuple(
    tracemalloc.Filter(inclusive=False, filename_pattern=str(pattern))
    for pattern in (
        *(Path(str(each.__file__)).parent / "*" for each in (payments_verify, pgweave, asyncio)),
        tracemalloc.__file__,
    )
)
_SENT = count()


@dataclass(frozen=True)
class _Kind:
    """Requests, no two of which have the same of something.

    Attributes:
        of: what each has of its own, for people.
        send: sends one, the number of which is given, over the client.
        before: so many come before memory is looked at.
        then: so many come each time until it is looked at again.
    """

    of: str
    send: Callable[[Http, int], Awaitable[object]]
    before: int = _FILLED
    then: int = 500


async def _from_host(http: Http, number: int) -> None:
    await http.request(
        "GET", f"/payments/{uuid4()}", headers={"host": f"h{number:0{_LONG}}.example"}, json=None
    )


async def _with_token(http: Http, number: int) -> None:
    headers = {"Authorization": f"Bearer pay_{number:0{_LONG}}"}
    await http.request("GET", f"/payments/{uuid4()}", headers=headers, json=None)


async def _to_nowhere(http: Http, number: int) -> None:
    fields = {
        "X-Request-ID": f"r{number:0{_LONG}}",
        "traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01",
        "User-Agent": f"u{number:0{_LONG}}",
        "Origin": f"https://o{number:0{_LONG}}.example",
        "If-None-Match": f'"{number:0{_LONG}}"',
        f"X-{number:0{_LONG}}": "1",
    }
    path = f"/n{number:0{_LONG}}/m?x{number:0{_LONG}}=1"
    await http.request("GET", path, headers=fields, json=None)


async def _after_nothing(http: Http, number: int) -> None:
    await http.request("GET", f"/payments?limit=2&after=x{number:0{_LONG}}", headers={}, json=None)


async def _of_payment(http: Http, number: int) -> None:
    path, body = f"/payments/{uuid4()}", {"amount_cents": number + 1}
    await http.request("PUT", path, headers={}, json=body)
    await http.request(
        "POST", f"{path}/captures", headers={"Idempotency-Key": f"k{number:0{_LONG}}"}, json=body
    )
    await http.request("GET", path, headers={}, json=None)


_OPEN = _Kind("hosts", _from_host)
"""Without tokens, where hosts are looked at."""
_GUARDED = (
    _Kind("tokens", _with_token),
    _Kind("paths and header fields", _to_nowhere),
    _Kind("cursors", _after_nothing),
    _Kind("payments, keys and amounts", _of_payment, before=150, then=300),  # slower than the others
)


async def wrong_memory(dsn: str) -> str | None:
    """Of which requests a process keeps something; ``None`` if of none.

    Args:
        dsn: a prepared database.
    """
    settings = Settings(tokens="", tokens_file=None, allow_unauthenticated=True)
    app = guarded(create_app(InMemoryPaymentStore(lambda: 0)), settings, Metrics())
    with _traced():
        wrong = await _kept(ApplicationClient(app), _OPEN)
        async with whole_application(dsn) as whole:
            for kind in _GUARDED:
                wrong = wrong or await _kept(whole.http, kind)
    return wrong


async def _kept(http: Http, kind: _Kind) -> str | None:
    before = await _memory_after(http, kind, kind.before)
    for _ in range(_ROUNDS):
        after = await _memory_after(http, kind, kind.then)
        grown = after.compare_to(before, "lineno")
        each = sum(place.size_diff for place in grown) / kind.then
        if each < _BOUND:
            return None
        before = after
    return (
        f"I9: of {kind.then} requests of other {kind.of} than before, a process keeps {each:.0f} bytes each, "
        f"most of it from {grown[0].traceback}"
    )


async def _memory_after(http: Http, kind: _Kind, requests: int) -> tracemalloc.Snapshot:
    """What the service and its libraries have allocated after so many requests, and not freed."""
    for _ in range(requests):
        await kind.send(http, next(_SENT))
    await asyncio.sleep(_PAUSE_S)
    gc.collect()
    return tracemalloc.take_snapshot().filter_traces(_NOT_THE_SERVICE)


@contextmanager
def _traced() -> Iterator[None]:
    was_traced = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        yield
    finally:
        if not was_traced:
            tracemalloc.stop()
