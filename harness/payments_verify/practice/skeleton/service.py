"""A payment is created, authorized, and captured at most once: the exercise's service, as it begins.

It serves on HOST and PORT, over the PostgreSQL of DATABASE_URL. README.md says what is missing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MOST_CENTS = 999_999_999_999
SCHEMA = (Path(__file__).parent / "schema.sql").read_bytes()
# What a payment that is not authorized answers to a capture, by its state.
NOT_AUTHORIZED = {"pending": "not_authorized", "captured": "already_captured", "failed": "payment_failed"}

Connection = AsyncConnection[DictRow]
# `async with pool.connection()` is one transaction: it commits at the end, and rolls back on an exception.
pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
    os.environ.get("DATABASE_URL", ""),
    min_size=8,
    max_size=8,
    open=False,
    connection_class=AsyncConnection[DictRow],
    kwargs={"row_factory": dict_row},
)


class Refused(Exception):
    """The request is refused, and nothing is changed."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


async def refused(_request: Request, error: Exception) -> Response:
    """The answer of a refusal."""
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.error}, error.status)


async def member(request: Request, name: str) -> Any:  # noqa: ANN401 - JSON
    """The one member that a request's body has."""
    try:
        body = await request.json()
    except ValueError:
        raise Refused(422, "invalid_request") from None
    if not isinstance(body, dict) or set(body) != {name}:
        raise Refused(422, "invalid_request")
    return body[name]


async def cents(request: Request) -> int:
    """The amount that a request asks for."""
    amount = await member(request, "amount_cents")
    if type(amount) is not int or not 0 < amount <= MOST_CENTS:
        raise Refused(422, "invalid_request")
    return amount


async def found(connection: Connection, request: Request) -> DictRow:
    """The payment of a request's path, and the time at which it was looked at."""
    rows = await connection.execute(
        "SELECT *, clock_timestamp() AS as_of FROM payments WHERE id = %s", [request.path_params["id"]]
    )
    payment = await rows.fetchone()
    if payment is None:
        raise Refused(404, "payment_not_found")
    return payment


def shown(payment: DictRow) -> dict[str, Any]:
    """A payment in an answer, with the database's time of the look."""
    expires_at = payment["capture_expires_at"]
    return {
        "id": str(payment["id"]),
        "amount_cents": payment["amount_cents"],
        "state": payment["state"],
        "capture_expires_at": None if expires_at is None else expires_at.isoformat(),
        "as_of": payment["as_of"].isoformat(),
    }


async def create(request: Request) -> Response:
    """Create a payment under the id that the client has chosen; again for the same amount is no error."""
    amount = await cents(request)
    async with pool.connection() as connection:
        made = await connection.execute(
            "INSERT INTO payments (id, amount_cents) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [request.path_params["id"], amount],
        )
        payment = await found(connection, request)
    if payment["amount_cents"] != amount:
        raise Refused(409, "payment_id_conflict")
    return JSONResponse(shown(payment), 201 if made.rowcount else 200)


async def authorize(request: Request) -> Response:
    """Authorize a pending payment: from now on it may be captured, until its window ends."""
    seconds = await member(request, "window_seconds")
    async with pool.connection() as connection:
        rows = await connection.execute(
            "UPDATE payments SET state = 'authorized',"
            " capture_expires_at = clock_timestamp() + %s * interval '1 second'"
            " WHERE id = %s AND state = 'pending' RETURNING *, clock_timestamp() AS as_of",
            [seconds, request.path_params["id"]],
        )
        payment = await rows.fetchone()
        if payment is None:
            state = (await found(connection, request))["state"]
            raise Refused(409, "already_authorized" if state == "authorized" else NOT_AUTHORIZED[state])
    return JSONResponse(shown(payment))


async def capture(request: Request) -> Response:
    """Capture an authorized payment. Each client gives its capture a key, and sends it again with that."""
    await cents(request)
    async with pool.connection() as connection:
        payment = await found(connection, request)
        if payment["state"] != "authorized":
            raise Refused(409, NOT_AUTHORIZED[payment["state"]])
        await connection.execute("UPDATE payments SET state = 'captured' WHERE id = %s", [payment["id"]])
    return JSONResponse({"state": "captured"}, 201)


async def void(request: Request) -> Response:
    """Fail an authorized payment, because its client gives it up."""
    async with pool.connection() as connection:
        rows = await connection.execute(
            "UPDATE payments SET state = 'failed' WHERE id = %s AND state = 'authorized'"
            " RETURNING *, clock_timestamp() AS as_of",
            [request.path_params["id"]],
        )
        payment = await rows.fetchone()
        if payment is None:
            state = (await found(connection, request))["state"]
            raise Refused(409, NOT_AUTHORIZED.get(state, "not_authorized"))  # it was not, a moment ago
    return JSONResponse(shown(payment))


async def read(request: Request) -> Response:
    """Show a payment."""
    async with pool.connection() as connection:
        return JSONResponse(shown(await found(connection, request)))


async def sweep(_request: Request) -> Response:
    """Fail the payments whose window has ended."""
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE payments SET state = 'failed'"
            " WHERE state = 'authorized' AND capture_expires_at <= clock_timestamp()"
        )
    return JSONResponse({})


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Make the schema and the connections before the first request."""
    async with await AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        await connection.execute(SCHEMA)
    async with pool:
        await pool.wait()
        yield


app = Starlette(
    routes=[
        Route("/payments/{id:uuid}", create, methods=["PUT"]),
        Route("/payments/{id:uuid}", read),
        Route("/payments/{id:uuid}/authorize", authorize, methods=["POST"]),
        Route("/payments/{id:uuid}/capture", capture, methods=["POST"]),
        Route("/payments/{id:uuid}/void", void, methods=["POST"]),
        Route("/sweep", sweep, methods=["POST"]),
    ],
    exception_handlers={Refused: refused},
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
