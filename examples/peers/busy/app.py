"""The charges of `../charges`; a capture is told to ask again while another with its token is under way.

A lock says so that the capture's transaction holds: it is gone when that ends, however it ends. With `BUG` a
mark says so, a row that is committed before the capture begins, as many libraries have it. With `lost` a
capture that fails with an error leaves it, and with `handled` only one whose process ends meanwhile; with
`stays` also one that is refused; with `charges` a capture that is told to ask again takes the money all the
same. With `LEASE` a mark counts for so many seconds only.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import uvicorn
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

os.environ["CHARGES_LOCKED"] = "1"
_CHARGES = Path(__file__).parent.parent / "charges" / "app.py"
_spec = importlib.util.spec_from_file_location("charges", _CHARGES)
assert _spec is not None
assert _spec.loader is not None
charges = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(charges)

Connection = AsyncConnection[DictRow]
BUG = os.environ.get("BUG")
LEASE = os.environ.get("LEASE", "1000000")
UNDER_WAY = """;
    CREATE TABLE IF NOT EXISTS under_way (
        charge_id uuid NOT NULL,
        token     text NOT NULL,
        until     timestamptz NOT NULL,
        PRIMARY KEY (charge_id, token)
    )
"""
vars(charges)["SCHEMA"] += UNDER_WAY
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)) AS taken"
MARK = f"""
    INSERT INTO under_way VALUES (%s, %s, clock_timestamp() + interval '{LEASE} s')
    ON CONFLICT (charge_id, token) DO UPDATE SET until = EXCLUDED.until
    WHERE under_way.until <= clock_timestamp() RETURNING token
"""
REMOVE = "DELETE FROM under_way WHERE charge_id = %s AND token = %s"
capture_alone = charges.capture


async def execute(statement: str, *parameters: object) -> bool:
    """Run a statement in a transaction of its own; whether it gave a row."""
    async with charges.pool.connection() as connection:
        done = await connection.execute(statement.encode(), parameters)
        return done.description is not None and await done.fetchone() is not None


found_alone = charges.found


async def found(connection: Connection, request: Request, lock: str | None = None) -> DictRow:
    """The charge; of a capture only if no other with its token is under way."""
    if request.url.path.endswith("/capture") and BUG is None:
        token = request.headers["x-request-token"]
        tried = await connection.execute(LOCK.encode(), [f"{request.path_params['id']} {token}"])
        row = await tried.fetchone()
        if row is None or not row["taken"]:
            raise charges.Refused(409, "in_progress")
    charge: DictRow = await found_alone(connection, request, lock)
    return charge


async def capture_with_mark(request: Request) -> Response:
    place = (request.path_params["id"], request.headers["x-request-token"])
    if not await execute(MARK, *place):
        if BUG == "charges":
            await capture_alone(request)
        return JSONResponse({"error": "in_progress"}, 409)
    try:
        answer: Response = await capture_alone(request)
    except Exception:
        if BUG == "handled":
            await execute(REMOVE, *place)
        raise
    if BUG != "stays" or answer.status_code < 400:
        await execute(REMOVE, *place)
    return answer


vars(charges)["found"] = found
for route in charges.app.routes:
    if BUG is not None and route.path.endswith("/capture"):
        route.app = charges.Route(route.path, capture_with_mark, methods=["POST"]).app

if __name__ == "__main__":
    uvicorn.run(charges.app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
