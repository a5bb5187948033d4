"""What is served beside the service: the page to race captures on, and what moves the clock."""

import re
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.domain.values import MAX_WINDOW, SECOND
from payments_core.entrypoints.http import pages, parsing, problems
from payments_core.entrypoints.http.problems import ProblemRaised
from payments_core.entrypoints.http.resources import resource, written
from payments_core.entrypoints.tokens import TokenScope

Advance = Callable[[int], Awaitable[int]]
"""Moves the clock on by so many seconds; by how many it is ahead then. A ``ValueError`` where it ends."""


STATIC = resources.files("payments_demo").joinpath("static")

# The part of the page that only a demonstration has, whose clock can be moved.
_CLOCK = re.compile(rb"<!-- clock -->\n(.*?)<!-- /clock -->\n", re.DOTALL)


class AdvanceRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a request to move the clock on: by how many seconds."""

    advance_seconds: Annotated[int, msgspec.Meta(ge=0, le=MAX_WINDOW // SECOND + 1)]


class Ahead(msgspec.Struct, frozen=True):
    """By how many seconds the clock is ahead of the real time."""

    ahead_seconds: int


def page_routes(*, has_clock: bool = False) -> list[Route]:
    """The page at ``/``, and the files that it needs.

    Args:
        has_clock: whether the page has the button that moves the clock, see `clock_route`.
    """
    files = pages.files(STATIC)
    page = _CLOCK.sub(rb"\1" if has_clock else b"", files["index.html"])
    return [
        resource("/", GET=pages.constant(page, pages.HTML)),
        pages.file_route(pages.files(pages.STATIC) | files),
    ]


def clock_route(advance: Advance) -> Route:
    """``POST /demo/clock``: move the clock on."""

    async def post(request: Request) -> Response:
        wanted = await parsing.body(request, AdvanceRequest)
        try:
            return written(Ahead(await advance(wanted.advance_seconds)))
        except ValueError as error:
            raise ProblemRaised(problems.INVALID_REQUEST, str(error)) from error

    return resource("/demo/clock", {"POST": TokenScope.WRITE}, POST=post)
