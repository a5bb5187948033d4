"""HTTP requests as they went over the wire, and their answers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_OF_EVERY_REQUEST = re.compile(
    rb"(host|accept-encoding|connection|content-length|transfer-encoding):.*|accept:\*/\*|user-agent:python-httpx.*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class HttpExchange:
    """A request, and what was answered to it.

    Attributes:
        method: the request's method.
        base: scheme, host and port: where the service is.
        target: path and query, as they were sent.
        headers: its header fields, without those that every client sends.
        body: its body.
        began: when it was sent, on a monotonic clock, in seconds.
        status: the status of the answer; ``None`` if there was no whole answer.
        answer: the answer's body, as text.
        answer_headers: the answer's header fields, by their names in lower case.
        ended: when the answer was there; ``None`` if there was none.
    """

    method: str
    base: str
    target: str
    headers: tuple[tuple[str, bytes], ...]
    body: bytes
    began: float
    status: int | None = None
    answer: str = ""
    answer_headers: tuple[tuple[str, str], ...] = ()
    ended: float | None = None


_kept: ContextVar[list[HttpExchange] | None] = ContextVar("exchanges", default=None)


@contextmanager
def exchanges_kept() -> Iterator[list[HttpExchange]]:
    """Keep the exchanges of clients that `note_exchanges` prepared, as far as this task makes them."""
    kept: list[HttpExchange] = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)


def note_exchanges(http: httpx.AsyncClient) -> None:
    """Let a client note what it sends and is answered, where `exchanges_kept` asks for it."""
    http.event_hooks = {"request": [_note_request], "response": [_note_answer]}


async def _note_request(request: httpx.Request) -> None:
    kept = _kept.get()
    if kept is None:
        return
    url = request.url
    kept.append(
        HttpExchange(
            method=request.method,
            base=f"{url.scheme}://{url.netloc.decode()}",
            target=url.raw_path.decode("ascii"),
            headers=tuple(
                (name.decode("ascii"), value)
                for name, value in request.headers.raw
                if not _OF_EVERY_REQUEST.fullmatch(name + b":" + value)
            ),
            body=await request.aread(),
            began=time.monotonic(),
        )
    )


async def _note_answer(response: httpx.Response) -> None:
    kept = _kept.get()
    if not kept:
        return
    from httpx import DecodingError  # noqa: PLC0415 - whoever has a response has it

    noted = kept[-1]
    try:
        await response.aread()
    except DecodingError:
        _note(noted, response, "a body that is not in its Content-Encoding")
        raise
    _note(noted, response, response.text)


def _note(noted: HttpExchange, response: httpx.Response, answer: str) -> None:
    noted.status, noted.answer, noted.ended = response.status_code, answer, time.monotonic()
    noted.answer_headers = tuple(response.headers.multi_items())
