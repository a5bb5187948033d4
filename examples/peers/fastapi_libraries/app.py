"""A service that is not ours: payments over FastAPI and asyncpg; its captures go through a library.

`LIBRARY` is fastapi-idempotency or fastidempotent, wired as its README says. `STORE=postgres` keeps its
answers in PostgreSQL, by the store that it brings; without it they are in memory. A capture locks the row
of its payment, and stores no key of its own. `WIRED=everywhere` puts fastapi-idempotency before every
request, as its first example does; without it, before captures. `WIRED=decorator` puts the decorator of
fastidempotent on the capture.
"""

import os
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import asyncpg
import fastapi_idempotency
import fastidempotent
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_idempotency.stores.tortoise import TortoiseStore
from pydantic import BaseModel, Field, StrictInt
from tortoise.contrib.fastapi import RegisterTortoise

URL = os.environ["DATABASE_URL"]
LIBRARY = os.environ["LIBRARY"]
IS_STORED = os.environ.get("STORE") == "postgres"
WIRED = os.environ.get("WIRED", "")
CAPTURES = "/captures"
SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    amount int NOT NULL,
    status text NOT NULL DEFAULT 'created',
    capture_before timestamptz
)"""


class Amount(BaseModel):
    amount: StrictInt = Field(gt=0, lt=100_000_000)


class Window(BaseModel):
    window_ms: int


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


in_postgres = fastidempotent.PostgresBackend(url=URL.replace("postgres://", "postgresql+asyncpg://"))


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncExitStack() as opened:
        app.state.pool = await opened.enter_async_context(asyncpg.create_pool(URL, min_size=1, max_size=8))
        await app.state.pool.execute(SCHEMA)
        if IS_STORED and LIBRARY == "fastapi-idempotency":
            models = {"models": ["fastapi_idempotency.stores.tortoise"]}
            tortoise = RegisterTortoise(app, db_url=URL, modules=models, generate_schemas=True)
            await opened.enter_async_context(tortoise)
        if IS_STORED and LIBRARY == "fastidempotent":
            await in_postgres.init()
            opened.push_async_callback(in_postgres.close)
        yield


app = FastAPI(lifespan=lifespan)
backend = in_postgres if IS_STORED else fastidempotent.MemoryBackend()
once = fastidempotent.idempotent(backend) if WIRED == "decorator" else lambda handle: handle

if LIBRARY == "fastapi-idempotency":
    app.add_middleware(
        fastapi_idempotency.IdempotencyMiddleware,
        store=TortoiseStore() if IS_STORED else fastapi_idempotency.MemoryStore(),
        path_prefix=None if WIRED == "everywhere" else CAPTURES,
        wait_seconds=0 if IS_STORED else 15,  # 0: 409 at once, where it else asks the database every 50 ms
    )
elif WIRED != "decorator":
    app.add_middleware(fastidempotent.IdempotencyMiddleware, backend=backend, optional=True)


@app.exception_handler(Refused)
async def refused(_request, error: Refused):
    return JSONResponse({"error": error.code}, error.status)


@app.exception_handler(RequestValidationError)
async def malformed(_request, _error: RequestValidationError):
    return JSONResponse({"error": "invalid_amount"}, 400)


@app.exception_handler(fastidempotent.IdempotencyError)
async def raised_by_the_decorator(_request, error: fastidempotent.IdempotencyError):
    status = 409 if isinstance(error, fastidempotent.DuplicateRequestError) else 422
    return JSONResponse({"detail": str(error)}, status)


def shown(payment: asyncpg.Record) -> dict:
    return {"id": str(payment["id"]), "amount": payment["amount"], "status": payment["status"]}


async def locked(connection, payment_id: UUID) -> asyncpg.Record:
    payment = await connection.fetchrow("SELECT * FROM payments WHERE id = $1 FOR UPDATE", payment_id)
    if payment is None:
        raise Refused(404, "not_found")
    return payment


async def moved(payment_id: UUID, status: str, allowed: str, ends: str = "capture_before", *values) -> dict:
    """The payment as it is after the move; a refusal says what it is instead."""
    async with app.state.pool.acquire() as connection, connection.transaction():
        payment = await locked(connection, payment_id)
        if payment["status"] != allowed:
            raise Refused(409, payment["status"])
        change = f"UPDATE payments SET status = '{status}', capture_before = {ends} WHERE id = $1 RETURNING *"
        return shown(await connection.fetchrow(change, payment_id, *values))


@app.get("/health")
async def health():
    return {"ok": True}


@app.post("/payments", status_code=201)
async def create(body: Amount):
    row = await app.state.pool.fetchrow("INSERT INTO payments (amount) VALUES ($1) RETURNING *", body.amount)
    return shown(row)


@app.get("/payments/{payment_id}")
async def read(payment_id: UUID):
    payment = await app.state.pool.fetchrow("SELECT * FROM payments WHERE id = $1", payment_id)
    if payment is None:
        raise Refused(404, "not_found")
    return shown(payment)


@app.post("/payments/{payment_id}/authorize")
async def authorize(payment_id: UUID, body: Window):
    ends = "clock_timestamp() + $2 * interval '1 ms'"
    return await moved(payment_id, "authorized", "created", ends, body.window_ms)


@app.post("/payments/{payment_id}/void")
async def void(payment_id: UUID):
    return await moved(payment_id, "voided", "authorized")


@app.post(CAPTURES + "/{payment_id}")
@once
async def capture(payment_id: UUID, body: Amount, request: Request):  # noqa: ARG001 - the decorator looks for it
    async with app.state.pool.acquire() as connection, connection.transaction():
        payment = await locked(connection, payment_id)
        if payment["status"] != "authorized":
            raise Refused(409, payment["status"])
        if await connection.fetchval("SELECT $1 <= clock_timestamp()", payment["capture_before"]):
            raise Refused(409, "expired")
        if body.amount != payment["amount"]:
            raise Refused(409, "amount_mismatch")
        change = "UPDATE payments SET status = 'captured' WHERE id = $1 RETURNING *"
        return shown(await connection.fetchrow(change, payment_id))


@app.post("/expire")
async def expire():
    due = "status = 'authorized' AND capture_before <= clock_timestamp()"
    await app.state.pool.execute(f"UPDATE payments SET status = 'voided' WHERE {due}")
    return {"ok": True}


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
