"""Each request gets an id, a line in the log and its place in the metrics. The outermost middleware."""

import random
import re
from collections.abc import Mapping
from time import perf_counter, time
from typing import Any, NamedTuple

import structlog
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_core.entrypoints.bulk import Bulk
from payments_core.entrypoints.http.problems import NO_SNIFFING
from payments_core.entrypoints.logs import request_id, together
from payments_core.entrypoints.metrics import Metrics

CAPTURE = "payments_core.capture"
"""Where in a request's scope the result of its capture stands."""
REQUEST_ID = "payments_core.request_id"
"""Where in a request's scope its id stands."""
REJECTED = "payments_core.rejected"
"""The key, in the process's state, of the function that counts refusals in the metrics."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds, and is worth a line only to who debugs."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}")
_UNKNOWN_ROUTE = "unmatched"
_NO_ANSWER = "none"
_UNTOLD_AT_MOST = 100


class _Ended(NamedTuple):
    """A request that has ended: at this time of the clock, and after so long."""

    scope: Scope
    route: str
    status: str
    seconds: float
    at: float


class Observed:
    """Names every request, counts it when it ends, and tells of it soon afterwards.

    Several are told of together, 10 ms late at most.

    The id is the client's ``X-Request-ID`` if that is 1 to 64 letters, digits and ``._~:-``, and else a new
    one. It is a header of the answer and a field of every log line, and no part of any body: a replay gives
    the same bytes to whichever request asks.

    An error that was answered ends here: it has been logged where it was answered.

    Args:
        app: what is served.
        routes: from endpoints to the templates of their paths, see `templates`.
        metrics: what counts the requests.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[Any, str], metrics: Metrics) -> None:
        self._app = app
        self.routes = routes
        self._metrics = metrics
        # Bound once, as logs are configured by now: each event on the module's would be a logger of its own.
        self._log = structlog.get_logger().bind()
        self._untold = Bulk(self._tell_all, _UNTOLD_AT_MOST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._serve_process(scope, receive, send)
            return
        named_so = scope[REQUEST_ID] = _request_id(scope)
        field = (b"x-request-id", named_so.encode())
        status = _NO_ANSWER

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message["headers"] = [*message["headers"], field, NO_SNIFFING]
            await send(message)

        before = request_id.set(named_so)
        self._metrics.request_began()
        began = perf_counter()
        try:
            await self._app(scope, receive, named)
        except Exception:
            if status == _NO_ANSWER:
                raise
        finally:
            self._ended(scope, status, perf_counter() - began)
            request_id.reset(before)

    async def _serve_process(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application begin and end with its process, and leave nothing untold."""
        if "state" in scope:  # the server refuses as well
            scope["state"][REJECTED] = self._metrics.rejected

        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self._untold.flush()
            await send(message)

        await self._app(scope, receive, sent)

    def _ended(self, scope: Scope, status: str, seconds: float) -> None:
        route = self.routes.get(scope.get("endpoint"), _UNKNOWN_ROUTE)
        self._metrics.request_ended(scope["method"], route, status, seconds)
        capture = scope.get(CAPTURE)
        if capture is not None:
            self._metrics.captured(capture.outcome.value, capture.replayed)
        self._untold.add(_Ended(scope, route, status, seconds, time()))

    def _tell_all(self, untold: list[_Ended]) -> None:
        with together():
            for ended in untold:
                self._tell(*ended)

    def _tell(self, scope: Scope, route: str, status: str, seconds: float, at: float) -> None:
        capture = scope.get(CAPTURE)
        told = {} if capture is None else {"outcome": capture.outcome.value, "replayed": capture.replayed}
        write = self._log.debug if route in QUIET else self._log.info
        write(
            "request",
            request_id=scope[REQUEST_ID],
            timestamp=at,
            method=scope["method"],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            **told,
        )


def templates(app: Starlette) -> dict[Any, str]:
    """The template of the path that leads to each endpoint of an application."""
    return {
        getattr(route, "endpoint", getattr(route, "app", None)): getattr(route, "path", _UNKNOWN_ROUTE)
        for route in app.routes
    }


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        text: str = given[0].decode("ascii")
        return text
    # An id has to be new, not secret: this costs no call of the system.
    return f"{random.getrandbits(128):032x}"
