"""What a demonstration has beside the service: a hand on the clock. No other mode has such a route."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.domain.values import MAX_WINDOW, SECOND
from payments_core.entrypoints.http import parsing, problems
from payments_core.entrypoints.http.problems import ProblemRaised
from payments_core.entrypoints.http.resources import resource, written

Advance = Callable[[int], Awaitable[int]]
"""Moves the clock on by so many seconds; by how many it is ahead then. A ``ValueError`` where it ends."""


class AdvanceRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a request to move the clock on: by how many seconds."""

    advance_seconds: Annotated[int, msgspec.Meta(ge=0, le=MAX_WINDOW // SECOND + 1)]


class Ahead(msgspec.Struct, frozen=True):
    """By how many seconds the clock is ahead of the real time."""

    ahead_seconds: int


def clock_route(advance: Advance) -> Route:
    """``POST /demo/clock``: move the clock on."""

    async def post(request: Request) -> Response:
        wanted = await parsing.body(request, AdvanceRequest)
        try:
            return written(Ahead(await advance(wanted.advance_seconds)))
        except ValueError as error:
            raise ProblemRaised(problems.INVALID_REQUEST, str(error)) from error

    return resource("/demo/clock", POST=post)
