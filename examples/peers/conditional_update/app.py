"""The charges of `../charges`; a capture locks nothing: one UPDATE changes the charge if it may be captured.

Its token is claimed first, so that whoever has the same waits. If nothing was changed, a look says why.
`BUG` leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".
"""

from __future__ import annotations

import importlib.util
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection, errors
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
CLAIM = "INSERT INTO capture_request VALUES (%s, %s, %s, 0, '') ON CONFLICT DO NOTHING RETURNING token"
KNOWN = "SELECT total, status, answer FROM capture_request WHERE charge_id = %s AND token = %s"
STORE = "UPDATE capture_request SET status = %s, answer = %s WHERE charge_id = %s AND token = %s"
GUARD = "" if BUG == "no-lock" else " AND status = 'authorized' AND total = %(total)s"
PAY = f"UPDATE charge SET status = 'paid', paid = %(total)s WHERE id = %(id)s{GUARD} RETURNING valid_till"
TAKE_BACK = "UPDATE charge SET status = 'authorized', paid = NULL WHERE id = %(id)s"
LOOK = "SELECT status, total, valid_till FROM charge WHERE id = %(id)s"

Place = tuple[str, str]


async def first(connection: Connection, statement: str, parameters: Any) -> DictRow | None:
    """The first row that a statement gives."""
    done = await connection.execute(statement.encode(), parameters)
    return await done.fetchone()


async def capture(request: Request) -> Response:
    total = charges.total_of((await charges.body_of(request, "total"))["total"])
    place = (str(request.path_params["id"]), request.headers["x-request-token"])
    async with charges.pool.connection() as connection:
        early = await charges.now(connection) if BUG == "clock-before-lock" else None
        known = await known_answer(connection, place, total)
        if known is not None and known["total"] != total:
            raise charges.Refused(422, "token_was_used")
        if known is not None:
            return Response(known["answer"], known["status"], {"x-again": "yes"}, "application/json")
        answer = await decided(connection, {"id": place[0], "total": total}, early)
        if BUG == "key-before-lock":
            await claim(connection, place, total)
        await connection.execute(STORE.encode(), (answer.status_code, bytes(answer.body).decode(), *place))
    return answer


async def known_answer(connection: Connection, place: Place, total: Decimal) -> DictRow | None:
    """The answer that the token was given, unless it is claimed now; it is waited for who claims it too."""
    if BUG != "key-before-lock" and await claim(connection, place, total):
        return None
    return await first(connection, KNOWN, place)


async def claim(connection: Connection, place: Place, total: Decimal) -> bool:
    try:
        return await first(connection, CLAIM, (*place, total)) is not None
    except errors.ForeignKeyViolation:
        raise charges.Refused(404, "no_such_charge") from None


async def decided(connection: Connection, values: dict[str, Any], early: datetime | None) -> Response:
    """Take the money, or say why not; a charge that was authorized in between is tried again."""
    if BUG == "no-lock" and (refusal := await why_not(connection, values)):
        return refusal
    while True:
        charge = await first(connection, PAY, values)
        if charge is not None and (early or await charges.now(connection)) < charge["valid_till"]:
            return JSONResponse({"status": "paid"})
        if charge is not None:
            await connection.execute(TAKE_BACK.encode(), values)
        if refusal := await why_not(connection, values):
            return refusal


async def why_not(connection: Connection, values: dict[str, Any]) -> Response | None:
    instant = await charges.now(connection)  # before the look: what is authorized then was so at that time
    charge = await first(connection, LOOK, values)
    if charge is None:
        raise charges.Refused(404, "no_such_charge")
    if charge["status"] != "authorized":
        return JSONResponse({"error": f"is_{charge['status']}"}, 409)
    if instant >= charge["valid_till"]:
        return JSONResponse({"error": "too_late"}, 409)
    if values["total"] != charge["total"]:
        return JSONResponse({"error": "another_total"}, 409)
    return None


for route in charges.app.routes:
    if route.path.endswith("/capture"):
        route.app = charges.Route(route.path, capture, methods=["POST"]).app

if __name__ == "__main__":
    uvicorn.run(charges.app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
