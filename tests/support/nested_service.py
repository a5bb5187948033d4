"""The charges of `examples/peers/charges` with 16 connections; with `BUG` a capture takes a second one."""

from __future__ import annotations

import os
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from tests.support.charges import load_charges, serve

os.environ["CHARGES_LOCKED"] = "1"
charges = load_charges()

pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=16,
    max_size=16,
    timeout=5 if os.environ.get("BUG") else 30,
    open=False,
    kwargs={"row_factory": dict_row},
)
found_alone = charges.found


async def found(connection: AsyncConnection[Any], request: Request, lock: str | None = None) -> Any:
    if os.environ.get("BUG") and request.url.path.endswith("/capture"):
        async with pool.connection() as another:
            await another.execute("SELECT 1")
    return await found_alone(connection, request, lock)


vars(charges).update(pool=pool, found=found)

if __name__ == "__main__":
    serve(charges.app)
