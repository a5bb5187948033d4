"""What people look at: the demo page, the contract, the problem types. From our own files, kept in memory."""

import hashlib
import re
from functools import cache
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.entrypoints.http.contract import openapi, openapi_json
from payments_core.entrypoints.http.contract.descriptions import BY_NAME, described
from payments_core.entrypoints.http.contract.docs_page import docs_page
from payments_core.entrypoints.http.contract.problem_pages import html
from payments_core.entrypoints.http.resources import JSON, Endpoint, is_known, read, resource

HTML = "text/html"
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

# Nothing but our own files, and nobody's frame; no script or style within the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
}


# The part of the page that only a demonstration has, whose clock can be moved.
_DEMO = re.compile(rb"<!-- demo -->\n(.*?)<!-- /demo -->\n", re.DOTALL)


def routes(*, is_demo: bool = False) -> list[Route]:
    """The pages and the files that they need; in a demonstration with what moves its clock."""
    return [
        *(resource(path, GET=_constant(*page)) for path, page in _pages(is_demo).items()),
        resource("/static/{name}", GET=_file),
        resource("/problems/{name}", GET=_problem),
    ]


@cache
def _files() -> dict[str, bytes]:
    folder = resources.files(__package__).joinpath("static")
    return {each.name: each.read_bytes() for each in folder.iterdir()}


@cache
def _pages(is_demo: bool) -> dict[str, tuple[bytes, str]]:
    """Content and media type of what is the same for everybody, by path."""
    return {
        "/": (_DEMO.sub(rb"\1" if is_demo else b"", _files()["index.html"]), HTML),
        "/docs": (docs_page(openapi()), HTML),
        "/openapi.json": (openapi_json(), JSON),
    }


def static(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    """A file: asked for again each time, and not sent again if the client has it."""
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    kept = {"ETag": tag, "Cache-Control": "no-cache", **_SECURITY, **headers}
    if is_known(tag, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=kept)
    return Response(content, 200, kept, media_type=media_type)


async def _file(request: Request) -> Response:
    """``GET /static/{name}``: what the pages need."""
    name = request.path_params["name"]
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
    if media_type is None or name not in _files():
        raise HTTPException(404)
    return static(request, _files()[name], media_type)


def _constant(content: bytes, media_type: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return static(request, content, media_type)

    return endpoint


async def _problem(request: Request) -> Response:
    """``GET /problems/{name}``: the description as JSON, or as a page for a client that names HTML."""
    problem = BY_NAME.get(request.path_params["name"])
    if problem is None:
        raise HTTPException(404)
    if HTML in request.headers.get("accept", ""):
        return static(request, html(problem), HTML, Vary="Accept")
    return read(request, described(problem), {"Vary": "Accept"})
