"""Bearer tokens (RFC 6750) as middleware: everything needs one, but for what says nothing about payments."""

from starlette.types import ASGIApp, Receive, Scope, Send

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.access import SCOPES, is_open
from payments_core.entrypoints.tokens import Tokens


class Authenticated:
    """Answers with 401 unless the request has an accepted token; the route checks the token's scopes.

    Args:
        app: what is served to those who have one.
        tokens: those that are accepted; if there are none, nobody is asked.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not self._tokens:
            await self._app(scope, receive, send)
            return
        presented = _presented(scope)
        scopes = None if presented is None else self._tokens.scopes_of(presented)
        if scopes is not None or is_open(scope["path"]):
            scope[SCOPES] = scopes or frozenset()
            await self._app(scope, receive, send)
            return
        challenge = 'Bearer realm="payments"' + ("" if presented is None else ', error="invalid_token"')
        refusal = problems.response(
            problems.UNAUTHORIZED,
            "send a token that this service knows: Authorization: Bearer <token>",
            {"WWW-Authenticate": challenge},
        )
        await refusal(scope, receive, send)


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
