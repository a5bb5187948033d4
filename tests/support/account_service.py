"""The charges of `examples/peers/charges`, whose tokens are the account's: one is one charge's alone.

With `BUG` a token is looked up before it is claimed, so that two charges at once may have it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection
from starlette.requests import Request

os.environ["CHARGES_LOCKED"] = "1"
_CHARGES = Path(__file__).parents[2] / "examples" / "peers" / "charges" / "app.py"
_spec = importlib.util.spec_from_file_location("charges", _CHARGES)
assert _spec is not None
assert _spec.loader is not None
charges = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(charges)

vars(charges)["SCHEMA"] += """;
    CREATE TABLE IF NOT EXISTS account_token (token text PRIMARY KEY, charge_id uuid NOT NULL)
"""
CLAIM = b"INSERT INTO account_token VALUES (%s, %s) ON CONFLICT DO NOTHING"
LOOK = b"SELECT charge_id FROM account_token WHERE token = %s"
found_alone = charges.found


async def found(connection: AsyncConnection[Any], request: Request, lock: str | None = None) -> Any:
    if request.url.path.endswith("/capture"):
        place = (request.headers["x-request-token"], request.path_params["id"])
        if not os.environ.get("BUG"):
            await connection.execute(CLAIM, place)
        known = await (await connection.execute(LOOK, place[:1])).fetchone()
        if known is not None and known["charge_id"] != place[1]:
            raise charges.Refused(422, "token_was_used")
        if known is None:
            await connection.execute(CLAIM, place)
    return await found_alone(connection, request, lock)


vars(charges)["found"] = found

if __name__ == "__main__":
    uvicorn.run(charges.app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
