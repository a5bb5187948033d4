"""Bearer tokens (RFC 6750) as middleware: everything needs one, but for what says nothing about payments."""

from starlette.types import ASGIApp, Receive, Scope, Send

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.tokens import Tokens

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/", "/docs", "/openapi.json"})
"""Health, and pages that are the same for everybody. ``/metrics`` tells of the business, and is not open."""
OPEN_FOLDERS = ("/problems/", "/static/")


class Authenticated:
    """Answers with 401 unless the request has a token that is accepted.

    Args:
        app: what is served to those who have one.
        tokens: those that are accepted; if there are none, nobody is asked.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not self._tokens or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        presented = _presented(scope)
        if presented is not None and self._tokens.accept(presented):
            await self._app(scope, receive, send)
            return
        challenge = 'Bearer realm="payments"' + ("" if presented is None else ', error="invalid_token"')
        refusal = problems.response(
            problems.UNAUTHORIZED,
            "send a token that this service knows: Authorization: Bearer <token>",
            {"WWW-Authenticate": challenge},
        )
        await refusal(scope, receive, send)


def is_open(path: str) -> bool:
    """Whether what a path leads to is the same for everybody."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _presented(scope: Scope) -> bytes | None:
    """The token in the request's one ``Authorization`` field, if it is a bearer's."""
    fields = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(fields) != 1:
        return None
    scheme, _, token = fields[0].strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    presented: bytes = token.strip(b" ")
    return presented or None
