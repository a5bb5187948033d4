"""The charges of `../charges`; captures that come while the same one is under way are answered with it.

The requests that only join in send no statement. `BUG=total` lets captures of another total join in as well.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Hashable
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import Response

os.environ["CHARGES_LOCKED"] = "1"
_CHARGES = Path(__file__).parent.parent / "charges" / "app.py"
_spec = importlib.util.spec_from_file_location("charges", _CHARGES)
assert _spec is not None
assert _spec.loader is not None
charges = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(charges)

capture_alone = charges.capture
under_way: dict[Hashable, asyncio.Task[Response]] = {}


async def capture(request: Request) -> Response:
    token, total = request.headers["x-request-token"], await request.body()
    same = (request.path_params["id"], token, None if os.environ.get("BUG") == "total" else total)
    if same in under_way:
        first = await asyncio.shield(under_way[same])
        return Response(first.body, first.status_code, {"x-again": "yes"}, "application/json")
    under_way[same] = asyncio.create_task(capture_alone(request))
    try:
        return await under_way[same]
    finally:
        del under_way[same]


for route in charges.app.routes:
    if route.path.endswith("/capture"):
        route.app = charges.Route(route.path, capture, methods=["POST"]).app

if __name__ == "__main__":
    uvicorn.run(charges.app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
