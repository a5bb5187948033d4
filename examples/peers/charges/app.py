"""A service that is not ours: charges, with an interface and a schema of its own, over Starlette and psycopg.

As it stands it reads, decides, and writes, and has no lock: right for one client, and right for one that asks
again. `CHARGES_LOCKED` makes it right at once too: `1` locks the charge before it looks at anything, `nowait`
asks for that lock until it has it, `advisory` takes a lock that is no row's, and `serializable` locks nothing
and tries again. `CHARGES_JITTER_MS` makes it take its time, at random, before what matters.

`CHARGES_VALID_FOR_S` gives each authorization one window, which no request names, and `CHARGES_LEAST` is the
least total. `CHARGES_BUG` makes it wrong: `late` captures at the very end of a window, too, `early` asks
for the time before the lock, and `stale` expires what it has found due, whatever it is by then.

`CHARGES_PREPARE_AFTER` is after how many executions psycopg prepares a statement, apart from its execution.

`CHARGES_SWEEPS_EVERY_MS` makes it expire charges by itself, so often.

`CHARGES_CLOCK` is the SQL that tells the time, or `host`; with `CHARGES_CLOCK_APART=1` it is asked in a
transaction of its own, as it has to be where it tells when the transaction began.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import uvicorn
from psycopg import AsyncConnection, IsolationLevel, errors
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

WAY = os.environ.get("CHARGES_LOCKED", "")
LOCK = {"1": " FOR UPDATE", "nowait": " FOR UPDATE NOWAIT"}.get(WAY, "")
JITTER_S = float(os.environ.get("CHARGES_JITTER_MS", "0")) / 1_000
PREPARE_AFTER = int(os.environ.get("CHARGES_PREPARE_AFTER", "5"))
VALID_FOR_S = float(os.environ.get("CHARGES_VALID_FOR_S", "0"))
LEAST = Decimal(os.environ.get("CHARGES_LEAST", "0.01"))
BUG = os.environ.get("CHARGES_BUG", "")
SWEEPS_EVERY_S = float(os.environ.get("CHARGES_SWEEPS_EVERY_MS", "0")) / 1_000
AGAIN = (errors.SerializationFailure, errors.LockNotAvailable)
ADVISORY = b"SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))"
CLOCK = os.environ.get("CHARGES_CLOCK", "clock_timestamp()")
CLOCK_APART = bool(os.environ.get("CHARGES_CLOCK_APART"))
SCHEMA = """
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
    )
"""

Connection = AsyncConnection[DictRow]


async def configured(connection: Connection) -> None:
    if WAY == "serializable":
        await connection.set_isolation_level(IsolationLevel.SERIALIZABLE)


pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
    os.environ.get("DATABASE_URL", ""),
    min_size=8,
    max_size=8,
    open=False,
    connection_class=AsyncConnection[DictRow],
    kwargs={"row_factory": dict_row, "prepare_threshold": PREPARE_AFTER},
    configure=configured,
)


Handler = Callable[[Request], Awaitable[Response]]


def until_it_is_done(handle: Handler) -> Handler:
    async def tried(request: Request) -> Response:
        while True:
            try:
                return await handle(request)
            except AGAIN:
                await asyncio.sleep(random.uniform(0, 0.01))

    return tried


async def take_time() -> None:
    if JITTER_S:
        await asyncio.sleep(random.uniform(0, JITTER_S))


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


async def refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.code}, error.status)


async def body_of(request: Request, *names: str) -> dict[str, Any]:
    body = await request.json()
    if not isinstance(body, dict) or set(body) != set(names):
        raise Refused(400, "bad_request")
    return body


def total_of(written: object) -> Decimal:
    try:
        total = Decimal(written) if isinstance(written, str) else Decimal(0)
    except InvalidOperation:
        total = Decimal(0)
    if not LEAST <= total < Decimal(10) ** 9:
        raise Refused(400, "bad_amount")
    return total


async def found(connection: Connection, request: Request, lock: str | None = None) -> DictRow:
    if lock is not None:
        await take_time()
        if WAY == "advisory":
            await connection.execute(ADVISORY, [request.path_params["id"]])
    rows = await connection.execute(
        b"SELECT id, total, status, valid_till, paid FROM charge WHERE id = %s" + (lock or "").encode(),
        [request.path_params["id"]],
    )
    charge = await rows.fetchone()
    if charge is None:
        raise Refused(404, "no_such_charge")
    return charge


def shown(charge: DictRow) -> dict[str, Any]:
    till: datetime | None = charge["valid_till"]
    return {
        "id": str(charge["id"]),
        "total": str(charge["total"]),
        "status": charge["status"],
        "valid_till": till and till.isoformat(),
        "paid": charge["paid"] and str(charge["paid"]),
    }


async def now(connection: Connection) -> datetime:
    if CLOCK == "host":
        return datetime.now(UTC)
    if CLOCK_APART:
        async with await AsyncConnection.connect(os.environ["DATABASE_URL"], row_factory=dict_row) as apart:
            return await told(apart)
    return await told(connection)


async def told(connection: Connection) -> datetime:
    clock = await (await connection.execute(f"SELECT {CLOCK} AS now".encode())).fetchone()
    assert clock is not None
    instant: datetime = clock["now"]
    return instant


@until_it_is_done
async def create(request: Request) -> Response:
    total = total_of((await body_of(request, "total"))["total"])
    async with pool.connection() as connection:
        rows = await connection.execute("INSERT INTO charge (total) VALUES (%s) RETURNING *", [total])
        charge = await rows.fetchone()
    assert charge is not None
    return JSONResponse({"charge": shown(charge)}, 201)


@until_it_is_done
async def authorize(request: Request) -> Response:
    valid_for = timedelta(seconds=VALID_FOR_S)
    if not VALID_FOR_S:
        valid_for = timedelta(milliseconds=(await body_of(request, "valid_for_ms"))["valid_for_ms"])
    async with pool.connection() as connection:
        charge = await found(connection, request, LOCK)
        if charge["status"] != "new":
            raise Refused(409, f"is_{charge['status']}")
        till = await now(connection) + valid_for
        rows = await connection.execute(
            "UPDATE charge SET status = 'authorized', valid_till = %s WHERE id = %s RETURNING *",
            [till, charge["id"]],
        )
        authorized = await rows.fetchone()
    assert authorized is not None
    return JSONResponse({"charge": shown(authorized)})


@until_it_is_done
async def capture(request: Request) -> Response:
    total = total_of((await body_of(request, "total"))["total"])
    token = request.headers["x-request-token"]
    async with pool.connection() as connection:
        early = await now(connection) if BUG == "early" else None
        charge = await found(connection, request, LOCK)
        rows = await connection.execute(
            "SELECT total, status, answer FROM capture_request WHERE charge_id = %s AND token = %s",
            [charge["id"], token],
        )
        known = await rows.fetchone()
        if known is not None and known["total"] != total:
            raise Refused(422, "token_was_used")
        if known is not None:
            return Response(known["answer"], known["status"], {"x-again": "yes"}, "application/json")
        answer = await decided(connection, charge, total, early)
        await connection.execute(
            "INSERT INTO capture_request VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [charge["id"], token, total, answer.status_code, bytes(answer.body).decode()],
        )
    return answer


async def decided(
    connection: Connection, charge: DictRow, total: Decimal, early: datetime | None
) -> Response:
    instant = early or await now(connection)
    await take_time()
    if charge["status"] != "authorized":
        return JSONResponse({"error": f"is_{charge['status']}"}, 409)
    if instant > charge["valid_till"] if BUG == "late" else instant >= charge["valid_till"]:
        return JSONResponse({"error": "too_late"}, 409)
    if total != charge["total"]:
        return JSONResponse({"error": "another_total"}, 409)
    await connection.execute(
        "UPDATE charge SET status = 'paid', paid = %s WHERE id = %s", [total, charge["id"]]
    )
    return JSONResponse({"status": "paid"})


@until_it_is_done
async def cancel(request: Request) -> Response:
    async with pool.connection() as connection:
        charge = await found(connection, request, LOCK)
        if charge["status"] != "authorized":
            raise Refused(409, f"is_{charge['status']}")
        rows = await connection.execute(
            "UPDATE charge SET status = 'cancelled' WHERE id = %s RETURNING *", [charge["id"]]
        )
        cancelled = await rows.fetchone()
    assert cancelled is not None
    return JSONResponse({"charge": shown(cancelled)})


async def read(request: Request) -> Response:
    async with pool.connection() as connection:
        return JSONResponse({"charge": shown(await found(connection, request))})


@until_it_is_done
async def expire(_request: Request) -> Response:
    await sweep()
    return Response(status_code=204)


async def sweep() -> None:
    async with pool.connection() as connection:
        due, instant = "status = 'authorized' AND valid_till <= %s", await now(connection)
        if WAY == "advisory":
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(id::text, 0)) FROM"
                f" (SELECT id FROM charge WHERE {due} ORDER BY id) AS charge".encode(),
                [instant],
            )
        if BUG == "stale":
            rows = await connection.execute(f"SELECT id FROM charge WHERE {due}".encode(), [instant])
            due, found = "id = ANY(%s)", [row["id"] for row in await rows.fetchall()]
            await connection.execute(f"UPDATE charge SET status = 'cancelled' WHERE {due}".encode(), [found])
            return
        await connection.execute(f"UPDATE charge SET status = 'cancelled' WHERE {due}".encode(), [instant])


async def sweep_again_and_again() -> None:
    while SWEEPS_EVERY_S:
        await asyncio.sleep(SWEEPS_EVERY_S)
        await sweep()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with await AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        await connection.execute(SCHEMA.encode())
    async with pool:
        sweeping = asyncio.create_task(sweep_again_and_again())
        yield
        sweeping.cancel()


app = Starlette(
    routes=[
        Route("/charges", create, methods=["POST"]),
        Route("/charges/{id:uuid}", read),
        Route("/charges/{id:uuid}/authorization", authorize, methods=["POST"]),
        Route("/charges/{id:uuid}/capture", capture, methods=["POST"]),
        Route("/charges/{id:uuid}/cancel", cancel, methods=["POST"]),
        Route("/jobs/expire", expire, methods=["POST"]),
    ],
    exception_handlers={Refused: refused},
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
