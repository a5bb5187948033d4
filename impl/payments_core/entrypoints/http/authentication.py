"""Bearer tokens (RFC 6750): everything needs one, but for what says nothing about payments."""

from starlette.responses import Response
from starlette.types import Scope

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.access import SCOPES, is_open
from payments_core.entrypoints.tokens import Tokens


class Authenticated:
    """A guard: it answers with 401 unless the request has an accepted token; the route checks its scopes.

    Args:
        tokens: those that are accepted; if there are none, nobody is asked.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __call__(self, scope: Scope) -> Response | None:
        """The refusal of a request; ``None`` if it is served, its token's scopes being in its scope then."""
        if not self._tokens:
            return None
        presented = _presented(scope)
        scopes = None if presented is None else self._tokens.scopes_of(presented)
        if scopes is not None or is_open(scope["path"]):
            scope[SCOPES] = scopes or frozenset()
            return None
        challenge = 'Bearer realm="payments"' + ("" if presented is None else ', error="invalid_token"')
        return problems.response(
            problems.UNAUTHORIZED,
            "send a token that this service knows: Authorization: Bearer <token>",
            {"WWW-Authenticate": challenge},
        )


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
