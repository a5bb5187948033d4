"""The charges of `examples/peers/charges`, as a process that is right alone, or does not start again.

`WAY` says how: `lock` has one lock in its memory around all that writes, and none in the database; `keys` has
the answers of tokens in its memory; `alone` does not start beside another;
`empties` empties its database as it starts; `once` does not start on a database that it has used. Without it,
it is right in every way.
"""

from __future__ import annotations

import asyncio
import os
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from tests.support.charges import load_charges, serve

WAY = os.environ.get("WAY", "")
os.environ["CHARGES_LOCKED"] = "" if WAY == "lock" else "1"
charges = load_charges()

lock = asyncio.Lock()
answers: dict[tuple[str, str], tuple[Decimal, Response]] = {}
capture_once = charges.capture


async def one_at_a_time(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["method"] != "GET":
        async with lock:
            await charges.app(scope, receive, send)
    else:
        await charges.app(scope, receive, send)


async def capture(request: Request) -> Response:
    total = charges.total_of((await charges.body_of(request, "total"))["total"])
    place = (request.path_params["id"], request.headers["x-request-token"])
    async with lock:
        if place in answers:
            asked, first = answers[place]
            if asked != total:
                raise charges.Refused(422, "token_was_used")
            return Response(first.body, first.status_code, {"x-again": "yes"}, "application/json")
        alone = SimpleNamespace(
            headers={"x-request-token": str(uuid4())}, json=request.json, path_params=request.path_params
        )
        answer: Response = await capture_once(alone)
        answers[place] = (total, answer)
        return answer


def begin() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        if WAY == "empties":
            connection.execute("DROP TABLE IF EXISTS capture_request, charge")
        if WAY == "once":
            connection.execute("CREATE TABLE migrated ()")
        others = (
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'alone' AND datname = current_database()"
        )
        if WAY == "alone" and connection.execute(others).fetchone():
            raise SystemExit("another one serves")


if __name__ == "__main__":
    begin()
    if WAY == "alone":
        os.environ["PGAPPNAME"] = "alone"
    if WAY == "keys":
        for route in charges.app.routes:
            if route.path.endswith("/capture"):
                route.app = charges.Route(route.path, capture, methods=["POST"]).app
    app = one_at_a_time if WAY == "lock" else charges.app
    serve(app)
