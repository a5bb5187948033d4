"""A payment is created, authorized, and captured at most once: the exercise's service, as it can end.

It serves on HOST and PORT, over the PostgreSQL of DATABASE_URL.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
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


async def member(request: Request, name: str) -> Any:
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


async def locked(connection: Connection, request: Request) -> DictRow:
    """The payment of a request's path, which nobody else changes until the transaction ends."""
    rows = await connection.execute(
        "SELECT * FROM payments WHERE id = %s FOR NO KEY UPDATE", [request.path_params["id"]]
    )
    payment = await rows.fetchone()
    if payment is None:
        raise Refused(404, "payment_not_found")
    return payment


async def clock(connection: Connection) -> datetime:
    """The database's time, now that whatever was to be waited for has been."""
    rows = await connection.execute("SELECT clock_timestamp() AS now")
    row = await rows.fetchone()
    assert row is not None
    now: datetime = row["now"]
    return now


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
        payment = await locked(connection, request)
        if payment["state"] != "pending":
            state = payment["state"]
            raise Refused(409, "already_authorized" if state == "authorized" else NOT_AUTHORIZED[state])
        now = await clock(connection)
        expires_at = now + timedelta(seconds=seconds)
        await connection.execute(
            "UPDATE payments SET state = 'authorized', capture_expires_at = %s WHERE id = %s",
            [expires_at, payment["id"]],
        )
    return JSONResponse(
        shown({**payment, "state": "authorized", "capture_expires_at": expires_at, "as_of": now})
    )


async def capture(request: Request) -> Response:
    """Capture an authorized payment. Each client gives its capture a key, and sends it again with that."""
    amount = await cents(request)
    key = request.headers.get("idempotency-key")
    if not key:
        raise Refused(422, "invalid_request")
    async with pool.connection() as connection:
        payment = await locked(connection, request)
        # A statement of its own: the one that locks may have waited, and sees what there was before.
        rows = await connection.execute(
            "SELECT * FROM captures WHERE payment = %s AND key = %s", [payment["id"], key]
        )
        earlier = await rows.fetchone()
        if earlier is not None and earlier["amount_cents"] != amount:
            raise Refused(422, "key_reused")
        if earlier is not None:
            repeated = {"Idempotent-Replayed": "true"}
            return Response(earlier["body"], earlier["status"], repeated, "application/json")
        now = await clock(connection)
        answer = decided(payment, amount, now)
        if answer.status_code == 201:
            await connection.execute("UPDATE payments SET state = 'captured' WHERE id = %s", [payment["id"]])
        await connection.execute(
            "INSERT INTO captures VALUES (%s, %s, %s, %s, %s)",
            [payment["id"], key, amount, answer.status_code, bytes(answer.body).decode()],
        )
    return answer


def decided(payment: DictRow, amount: int, now: datetime) -> Response:
    """What a capture with a key that was not used yet is answered."""
    if payment["state"] != "authorized":
        return JSONResponse({"error": NOT_AUTHORIZED[payment["state"]]}, 409)
    if now >= payment["capture_expires_at"]:
        return JSONResponse({"error": "window_expired"}, 409)
    if amount != payment["amount_cents"]:
        return JSONResponse({"error": "amount_mismatch"}, 422)
    return JSONResponse({"state": "captured"}, 201)


async def void(request: Request) -> Response:
    """Fail an authorized payment, because its client gives it up."""
    async with pool.connection() as connection:
        payment = await locked(connection, request)
        if payment["state"] != "authorized":
            raise Refused(409, NOT_AUTHORIZED[payment["state"]])
        now = await clock(connection)
        await connection.execute("UPDATE payments SET state = 'failed' WHERE id = %s", [payment["id"]])
    return JSONResponse(shown({**payment, "state": "failed", "as_of": now}))


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
