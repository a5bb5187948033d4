"""What people look at: the contract and the problem types. From our own files, kept in memory."""

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.entrypoints.http.contract import openapi, openapi_json
from payments_core.entrypoints.http.contract.descriptions import BY_NAME, described
from payments_core.entrypoints.http.contract.docs_page import docs_page
from payments_core.entrypoints.http.contract.problem_pages import html
from payments_core.entrypoints.http.resources import JSON, Endpoint, read, resource

HTML = "text/html"
STATIC = resources.files(__package__).joinpath("static")
"""The folder of the files that every page needs."""
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

# Nothing but our own files, and nobody's frame; no script or style within the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ENTITY_TAG = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')
_SECURITY = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
}


def routes() -> list[Route]:
    """The pages and the files that they need. Who begins at ``/`` sees the contract."""
    contract = constant(docs_page(openapi()), HTML)
    return [
        resource("/", GET=contract),
        resource("/docs", GET=contract),
        resource("/openapi.json", GET=constant(openapi_json(), JSON)),
        file_route(files(STATIC)),
        resource("/problems/{name}", GET=_problem),
    ]


def files(folder: Traversable) -> dict[str, bytes]:
    """The files of a folder, by name."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def file_route(served: Mapping[str, bytes]) -> Route:
    """``GET /static/{name}``: what pages need.

    Args:
        served: the files by name; one whose type is none of `MEDIA_TYPES` is not served.
    """

    async def endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
        if media_type is None or name not in served:
            raise HTTPException(404)
        return static(request, served[name], media_type)

    return resource("/static/{name}", GET=endpoint)


def static(request: Request, content: bytes, media_type: str, **headers: str) -> Response:
    """A file: asked for again each time, and not sent again if the client has it."""
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    kept = {"ETag": tag, "Cache-Control": "no-cache", **_SECURITY, **headers}
    if is_known(tag, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=kept)
    return Response(content, 200, kept, media_type=media_type)


def constant(content: bytes, media_type: str) -> Endpoint:
    """Answers with the same to everybody."""

    async def endpoint(request: Request) -> Response:
        return static(request, content, media_type)

    return endpoint


def is_known(tag: str, fields: list[str]) -> bool:
    """Whether ``If-None-Match`` names this tag, by weak comparison (RFC 9110, section 13.1.2)."""
    text = ", ".join(fields).strip()
    return text == "*" or tag in _ENTITY_TAG.findall(text)


async def _problem(request: Request) -> Response:
    """``GET /problems/{name}``: the description as JSON, or as a page for a client that names HTML."""
    problem = BY_NAME.get(request.path_params["name"])
    if problem is None:
        raise HTTPException(404)
    if HTML in request.headers.get("accept", ""):
        return static(request, html(problem), HTML, Vary="Accept")
    return read(described(problem), {"Vary": "Accept"})
