"""What is looked at before a request is served, as one middleware: each guard lets it pass, or answers it."""

from collections.abc import Callable, Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Guard = Callable[[Scope], Response | None]
"""Answers a request that it refuses, by the request's scope alone."""


class Guarded:
    """Serves the requests that no guard refuses. A layer for each guard would cost every request more.

    Args:
        app: what is served.
        guards: asked in this order.
    """

    def __init__(self, app: ASGIApp, guards: Sequence[Guard]) -> None:
        self._app = app
        self._guards = guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        served = self._app
        if scope["type"] == "http":
            for guard in self._guards:
                refusal = guard(scope)
                if refusal is not None:
                    served = refusal
                    break
        await served(scope, receive, send)
