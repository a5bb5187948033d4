"""The charges of `examples/peers/charges`, whose tokens are the account's: one is one charge's alone.

With `BUG` a token is looked up before it is claimed, so that two charges at once may have it.
"""

from __future__ import annotations

import os
from typing import Any

from psycopg import AsyncConnection
from starlette.requests import Request

from tests.support.charges import load_charges, serve

os.environ["CHARGES_LOCKED"] = "1"
charges = load_charges()

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
    serve(charges.app)
