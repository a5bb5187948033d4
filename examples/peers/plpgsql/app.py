"""A service that is not ours: charges whose rules are functions in PL/pgSQL; Starlette only calls them.

Each request is a transaction of one call, `SELECT * FROM capture(...)`. The function locks the charge, looks
up the answer that the token was given, asks for the time, and writes all of it. `BUG` leaves out the lock, or
moves one of the others before it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation

import uvicorn
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BUG = os.environ.get("BUG", "")
LOCK = "" if BUG == "no-lock" else "FOR UPDATE"
LOOK_UP = """
    SELECT r.total, r.status, r.answer INTO earlier FROM capture_request AS r
    WHERE r.charge_id = wanted AND r.token = given;
"""
READ_CLOCK = "instant := clock_timestamp();"
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS charge (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    total      numeric(14, 2) NOT NULL,
    status     text NOT NULL DEFAULT 'new',
    valid_till timestamptz,
    paid       numeric(14, 2)
);
CREATE TABLE IF NOT EXISTS capture_request (
    charge_id uuid NOT NULL REFERENCES charge,
    token     text NOT NULL,
    total     numeric(14, 2) NOT NULL,
    status    int NOT NULL,
    answer    text NOT NULL,
    PRIMARY KEY (charge_id, token)
);
CREATE OR REPLACE FUNCTION shown(charge) RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT jsonb_build_object('charge', to_jsonb($1) || jsonb_build_object(
           'total', $1.total::text, 'paid', $1.paid::text))::text $$;
CREATE OR REPLACE FUNCTION failed(code text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT jsonb_build_object('error', code)::text $$;
CREATE OR REPLACE FUNCTION change(wanted uuid, before text, after text, valid_for interval,
                                  OUT status int, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE found_ charge;
BEGIN
    SELECT * INTO found_ FROM charge AS c WHERE c.id = wanted {LOCK};
    IF found_.id IS NULL THEN status := 404; answer := failed('no_such_charge'); RETURN; END IF;
    IF found_.status <> before THEN status := 409; answer := failed('is_' || found_.status); RETURN; END IF;
    UPDATE charge AS c SET status = after, valid_till = coalesce(clock_timestamp() + valid_for, c.valid_till)
    WHERE c.id = wanted RETURNING * INTO found_;
    status := 200; answer := shown(found_);
END $$;
CREATE OR REPLACE FUNCTION capture(wanted uuid, given text, asked numeric,
                                   OUT status int, OUT answer text, OUT again boolean) LANGUAGE plpgsql AS $$
DECLARE found_ charge; earlier record; instant timestamptz;
BEGIN
    again := false;
    {LOOK_UP if BUG == "key-before-lock" else ""}
    {READ_CLOCK if BUG == "clock-before-lock" else ""}
    SELECT * INTO found_ FROM charge AS c WHERE c.id = wanted {LOCK};
    IF found_.id IS NULL THEN status := 404; answer := failed('no_such_charge'); RETURN; END IF;
    {"" if BUG == "key-before-lock" else LOOK_UP}
    IF earlier.total <> asked THEN status := 422; answer := failed('token_was_used'); RETURN; END IF;
    IF earlier.total = asked THEN
        status := earlier.status; answer := earlier.answer; again := true; RETURN;
    END IF;
    {"" if BUG == "clock-before-lock" else READ_CLOCK}
    status := 409;
    IF found_.status <> 'authorized' THEN answer := failed('is_' || found_.status);
    ELSIF instant >= found_.valid_till THEN answer := failed('too_late');
    ELSIF asked <> found_.total THEN answer := failed('another_total');
    ELSE
        status := 200; answer := '{{"status": "paid"}}';
        UPDATE charge AS c SET status = 'paid', paid = asked WHERE c.id = wanted;
    END IF;
    INSERT INTO capture_request VALUES (wanted, given, asked, status, answer) ON CONFLICT DO NOTHING;
END $$;
"""
DUE = "status = 'authorized' AND valid_till <= clock_timestamp()"
pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
    os.environ.get("DATABASE_URL", ""), min_size=8, max_size=8, open=False
)


async def asked(sql: str, *values: object) -> Response:
    async with pool.connection() as connection:
        row = await (await connection.execute(sql.encode(), values)).fetchone()
    if row is None:
        return Response('{"error": "no_such_charge"}', 404, media_type="application/json")
    status, answer, *again = row
    return Response(answer, status, {"x-again": "yes"} if any(again) else None, "application/json")


async def total_of(request: Request) -> Decimal | None:
    try:
        total = Decimal(str((await request.json())["total"]))
    except InvalidOperation:
        return None
    return total if 0 < total < 10**9 else None


BAD_AMOUNT = Response('{"error": "bad_amount"}', 400, media_type="application/json")


async def create(request: Request) -> Response:
    total = await total_of(request)
    return (
        await asked("INSERT INTO charge (total) VALUES (%s) RETURNING 201, shown(charge)", total)
        if total
        else BAD_AMOUNT
    )


async def read(request: Request) -> Response:
    return await asked("SELECT 200, shown(c) FROM charge AS c WHERE id = %s", request.path_params["id"])


async def authorize(request: Request) -> Response:
    milliseconds = (await request.json())["valid_for_ms"]
    change = "SELECT * FROM change(%s, 'new', 'authorized', %s * interval '1 millisecond')"
    return await asked(change, request.path_params["id"], milliseconds)


async def capture(request: Request) -> Response:
    total, token = await total_of(request), request.headers["x-request-token"]
    return (
        await asked("SELECT * FROM capture(%s, %s, %s)", request.path_params["id"], token, total)
        if total
        else BAD_AMOUNT
    )


async def cancel(request: Request) -> Response:
    return await asked("SELECT * FROM change(%s, 'authorized', 'cancelled', NULL)", request.path_params["id"])


async def expire(_request: Request) -> Response:
    async with pool.connection() as connection:
        await connection.execute(f"UPDATE charge SET status = 'cancelled' WHERE {DUE}".encode())
    return Response(status_code=204)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with await AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        await connection.execute(SCHEMA.encode())
    async with pool:
        yield


app = Starlette(
    routes=[
        Route("/charges", create, methods=["POST"]),
        Route("/charges/{id:uuid}", read),
        Route("/charges/{id:uuid}/authorization", authorize, methods=["POST"]),
        Route("/charges/{id:uuid}/capture", capture, methods=["POST"]),
        Route("/charges/{id:uuid}/cancel", cancel, methods=["POST"]),
        Route("/jobs/expire", expire, methods=["POST"]),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
