"""What the resources of the service have in common: their methods, and how they answer."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from payments_core.entrypoints.http import access, problems
from payments_core.entrypoints.http.access import SCOPES
from payments_core.entrypoints.tokens import TokenScope

JSON = "application/json"

_NO_TOKENS = frozenset(TokenScope)  # then nobody is asked

Endpoint = Callable[[Request], Awaitable[Response]]


def resource(path: str, needed: Mapping[str, TokenScope] | None = None, **methods: Endpoint) -> Route:
    """One route for all methods of a path, so that ``Allow`` names every method, whoever sends it.

    Args:
        path: its template.
        needed: the scope that each method needs, of a route that is none of the service's own.
        methods: what answers them.

    Raises:
        ValueError: if `access` does not say which scope each of them needs, and neither does ``needed``.
    """
    needed = dict(access.needed(path, methods) if needed is None else needed)
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
        needed |= {"HEAD": needed["GET"]} if needed else {}
    allow = ", ".join(sorted([*methods, "OPTIONS"]))

    async def options(_request: Request) -> Response:
        return Response(status_code=204, headers={"Allow": allow})

    methods["OPTIONS"] = options

    return Route(path, _Resource(methods, needed), methods=list(methods))


class _Resource:
    """Answers by method, to a token of the scope that it needs.

    To a function of its own Starlette would add a second handler of errors.
    """

    def __init__(self, methods: Mapping[str, Endpoint], needed: Mapping[str, TokenScope]) -> None:
        self._methods = methods
        self.needed = needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needed = self.needed.get(scope["method"])
        if needed is not None and needed not in scope.get(SCOPES, _NO_TOKENS):
            response = _insufficient(needed)
        else:
            response = await self._methods[scope["method"]](Request(scope, receive, send))
        await response(scope, receive, send)


def _insufficient(needed: TokenScope) -> Response:
    """The refusal of RFC 6750, section 3.1."""
    return problems.response(
        problems.INSUFFICIENT_SCOPE,
        f"send a token of the scope {needed}",
        {"WWW-Authenticate": f'Bearer realm="payments", error="insufficient_scope", scope="{needed}"'},
    )


def written(
    document: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a command: a document as it is now."""
    return Response(msgspec.json.encode(document), status, headers, media_type=JSON)


def read(document: msgspec.Struct, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a read. Nobody on the way may keep it: ``as_of`` would claim a look that never was."""
    return written(document, headers={**problems.NOT_KEPT, **(headers or {})})
