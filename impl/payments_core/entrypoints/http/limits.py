"""Limits on requests: how many at once and how long each, as middleware; and what their heads may be."""

import asyncio
from collections.abc import Callable
from itertools import chain

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_core.entrypoints.http import problems

MAX_HEAD_BYTES = 16 * 1024
MAX_FIELDS = 100
_TOO_LARGE = (
    f"a request has at most {MAX_FIELDS} header fields, "
    f"and {MAX_HEAD_BYTES} bytes in its target and fields together"
)
_FIELD_OVERHEAD = 4  # ": " and the end of its line

Rejected = Callable[[str], None]
"""Told why a request was refused, for the metrics."""


class HeadLimits:
    """A guard that answers with 431 if the target and the fields of a request are too large, or too many.

    With 501 where a body came in another coding than in chunks, which alone the server takes off: what is
    left is not the body that was meant (RFC 9112, section 6.1).
    """

    def __init__(self, rejected: Rejected) -> None:
        self._rejected = rejected

    def __call__(self, scope: Scope) -> Response | None:
        """The refusal of a request; ``None`` if its head is as it should be."""
        if _is_too_large(scope):
            problem, detail = problems.HEAD_TOO_LARGE, _TOO_LARGE
        elif _is_coded(scope):
            problem, detail = problems.UNSUPPORTED_TRANSFER_CODING, "the one transfer coding here is chunked"
        else:
            return None
        self._rejected(problem.name)
        return problems.response(problem, detail, {"Connection": "close"})


def _is_coded(scope: Scope) -> bool:
    for name, value in scope["headers"]:  # a generator would cost more
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            return True
    return False


def _is_too_large(scope: Scope) -> bool:
    fields = scope["headers"]
    if len(fields) > MAX_FIELDS:
        return True
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"]) + _FIELD_OVERHEAD * len(fields)
    return size + sum(map(len, chain.from_iterable(fields))) > MAX_HEAD_BYTES


class Admission:
    """Answers with 503 at once when as many requests as ``limit`` are being served or wait for a connection.

    A queue without a bound makes every request late; a refusal costs nothing and can be sent again.

    Args:
        app: what is served.
        limit: requests at a time.
        exempt: whether a path is always admitted, and not counted: those that tell that the service is
            overloaded, and those whose answers are ready.
        rejected: told of each refusal.
    """

    def __init__(self, app: ASGIApp, limit: int, exempt: Callable[[str], bool], rejected: Rejected) -> None:
        self._app = app
        self._limit = limit
        self._exempt = exempt
        self._rejected = rejected
        self._admitted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or self._exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._admitted >= self._limit:
            self._rejected("overloaded")
            detail = "too many requests are waiting; nothing was done: send the same request again"
            await problems.response(problems.OVERLOADED, detail, problems.RETRY_AFTER)(scope, receive, send)
            return
        self._admitted += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._admitted -= 1


class Deadline:
    """Cancels a request that takes longer than ``seconds``, and answers with 503 in its place.

    The store takes back a transaction that is cancelled. One that is cancelled while it commits may have
    committed, as with every answer that is lost; the same request under the same key finds out.
    """

    def __init__(self, app: ASGIApp, seconds: float, rejected: Rejected) -> None:
        self._app = app
        self._seconds = seconds
        self._rejected = rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timeout = asyncio.timeout(self._seconds)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                if timeout.expired():
                    await asyncio.sleep(0)  # a cancellation that is on its way arrives here
                else:
                    timeout.reschedule(None)  # an answer that has begun is finished
            await send(message)

        try:
            async with timeout:
                await self._app(scope, receive, sent)
        except TimeoutError:
            if not timeout.expired():
                raise
            self._rejected("deadline")
            detail = (
                f"the request took longer than {self._seconds:g} s; it may or may not have been carried out: "
                "send it again, with the same key"
            )
            await problems.response(problems.DEADLINE_EXCEEDED, detail, problems.RETRY_AFTER)(
                scope, receive, send
            )
