"""What the resources of the service have in common: their methods, and how they are read again."""

import hashlib
import re
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

_ENTITY_TAG = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')


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
        self._needed = needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needed = self._needed.get(scope["method"])
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


def read(request: Request, document: msgspec.Struct, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a read: the document with its entity tag, or 304 if the client has it already.

    The tag is weak where the document has ``as_of``, which differs with each look and is left out of it.
    Nothing on the way may keep the answer: a kept ``as_of`` would claim a look that never was.
    """
    tag = entity_tag(document)
    kept = {"ETag": tag, "Cache-Control": "no-store", **(headers or {})}
    if is_known(tag, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=kept)
    return Response(msgspec.json.encode(document), 200, kept, media_type=JSON)


def entity_tag(document: msgspec.Struct) -> str:
    """The entity tag of a document (RFC 9110, section 8.8.3): one for one content, ``as_of`` aside."""
    dated = "as_of" in document.__struct_fields__
    timeless = msgspec.structs.replace(document, as_of="") if dated else document
    digest = hashlib.blake2b(msgspec.json.encode(timeless), digest_size=12).hexdigest()
    return f'W/"{digest}"' if dated else f'"{digest}"'


def is_known(tag: str, fields: list[str]) -> bool:
    """Whether ``If-None-Match`` names this tag, by weak comparison (RFC 9110, section 13.1.2)."""
    text = ", ".join(fields).strip()
    return text == "*" or tag.removeprefix("W/") in _ENTITY_TAG.findall(text)
