"""The charges of `../charges` behind the middleware of fastapi-idempotency, as its README wires it.

The captures know no tokens of their own: what the middleware keeps, in memory, is all there is.
"""

from __future__ import annotations

import importlib.util
import os
from datetime import timedelta
from pathlib import Path

import uvicorn
from fastapi_idempotency import ConflictingRequestError, IdempotencyError, IdempotencyMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

os.environ["CHARGES_LOCKED"] = "1"
_CHARGES = Path(__file__).parent.parent / "charges" / "app.py"
_spec = importlib.util.spec_from_file_location("charges", _CHARGES)
assert _spec is not None
assert _spec.loader is not None
charges = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(charges)


async def capture(request: Request) -> Response:
    total = charges.total_of((await charges.body_of(request, "total"))["total"])
    async with charges.pool.connection() as connection:
        charge = await charges.found(connection, request, charges.LOCK)
        answer: Response = await charges.decided(connection, charge, total)
    return answer


def on_error(_request: Request, error: IdempotencyError) -> Response:
    if isinstance(error, ConflictingRequestError):
        return JSONResponse({"error": "token_was_used"}, 422)
    return JSONResponse({"error": "in_progress"}, 409)


app = charges.app
route = next(each for each in app.routes if each.path.endswith("/capture"))
app.routes[app.routes.index(route)] = type(route)(route.path, capture, methods=["POST"])
app.add_middleware(
    IdempotencyMiddleware,
    header_name="X-Request-Token",
    # Without a token two charges of one amount would be one within this time.
    automatic_window=timedelta(microseconds=1),
    scope=lambda request: request.url.path,
    on_error=on_error,
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
