"""A service that is not ours: charges, over FastAPI, SQLAlchemy's asynchronous session, and asyncpg.

One transaction decides a request: it locks the charge, looks up the answer that the token was given, asks the
database for the time, and writes all of it. `BUG` leaves out the lock, or moves one of the others before it.
With `CONTROL=version` nothing is locked: the charge and the time are read at once, an update is refused whose
version of the charge is not the newest, and the request begins again.
"""

import json
import os
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import wraps
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI, Header, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ExceptionContext, ForeignKey, Numeric, event, func, make_url, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.exc import StaleDataError

BUG = os.environ.get("BUG", "")
HAS_VERSIONS = os.environ.get("CONTROL") == "version"
URL = (
    make_url(os.environ["DATABASE_URL"])
    .set(drivername="postgresql+asyncpg")
    .difference_update_query(["sslmode"])
)
engine = create_async_engine(URL, pool_size=8)
Session = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "handle_error")
def drop_connection(context: ExceptionContext) -> None:
    """To asyncpg a transaction stays open whose BEGIN was refused: each later one is then a savepoint."""
    if BUG != "connection-kept":
        context.is_disconnect, context.invalidate_pool_on_disconnect = True, False


clock = select(func.clock_timestamp(type_=DateTime(timezone=True)))


class Base(DeclarativeBase):
    pass


class Charge(Base):
    __tablename__ = "charge"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    total: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    status: Mapped[str] = mapped_column(default="new")
    valid_till: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    paid: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version} if HAS_VERSIONS else {}


class CaptureRequest(Base):
    __tablename__ = "capture_request"
    charge_id: Mapped[UUID] = mapped_column(ForeignKey(Charge.id), primary_key=True)
    token: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    status: Mapped[int]
    answer: Mapped[str]


class Total(BaseModel):
    model_config = ConfigDict(extra="forbid")
    total: Decimal = Field(gt=0, lt=10**9, decimal_places=2)


class Validity(BaseModel):
    valid_for_ms: int


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


@asynccontextmanager
async def lifespan(_app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(Refused)
async def refused(_request, error: Refused):
    return JSONResponse({"error": error.code}, error.status)


@app.exception_handler(RequestValidationError)
async def malformed(_request, _error: RequestValidationError):
    return JSONResponse({"error": "bad_amount"}, 400)


def until_up_to_date(handle):
    """Begin again where another request has changed the charge meanwhile, or has stored the token."""

    @wraps(handle)
    async def handled(*arguments, **named):
        while True:
            try:
                return await handle(*arguments, **named)
            except (StaleDataError, IntegrityError):
                if not HAS_VERSIONS:
                    raise

    return handled


async def locked(session: AsyncSession, charge_id: UUID) -> tuple[Charge, datetime | None]:
    """The charge; without a lock also the time at which it was so."""
    if HAS_VERSIONS:
        at_once = select(Charge, clock.scalar_subquery()).where(Charge.id == charge_id)
        charge, instant = (await session.execute(at_once)).one_or_none() or (None, None)
    else:
        charge, instant = await session.get(Charge, charge_id, with_for_update=BUG != "no-lock"), None
    if charge is None:
        raise Refused(404, "no_such_charge")
    return charge, instant


def shown(charge: Charge) -> dict:
    return {
        "id": charge.id,
        "total": f"{charge.total:.2f}",
        "status": charge.status,
        "valid_till": charge.valid_till,
        "paid": None if charge.paid is None else f"{charge.paid:.2f}",
    }


@app.post("/charges", status_code=201)
async def create(body: Total):
    async with Session.begin() as session:
        charge = Charge(total=body.total)
        session.add(charge)
    return {"charge": shown(charge)}


@app.get("/charges/{charge_id}")
async def read(charge_id: UUID):
    async with Session() as session:
        charge = await session.get(Charge, charge_id)
    if charge is None:
        raise Refused(404, "no_such_charge")
    return {"charge": shown(charge)}


@app.post("/charges/{charge_id}/authorization")
@until_up_to_date
async def authorize(charge_id: UUID, body: Validity):
    async with Session.begin() as session:
        charge, _ = await locked(session, charge_id)
        if charge.status != "new":
            raise Refused(409, f"is_{charge.status}")
        charge.status = "authorized"
        charge.valid_till = await session.scalar(clock) + timedelta(milliseconds=body.valid_for_ms)
    return {"charge": shown(charge)}


@app.post("/charges/{charge_id}/capture")
@until_up_to_date
async def capture(charge_id: UUID, body: Total, x_request_token: str = Header()):
    async with Session.begin() as session:
        early = await session.scalar(clock) if BUG == "clock-before-lock" else None
        if BUG == "key-before-lock":
            known = await session.get(CaptureRequest, (charge_id, x_request_token))
            charge, _ = await locked(session, charge_id)
        else:
            charge, instant = await locked(session, charge_id)
            early = early or instant
            known = await session.get(CaptureRequest, (charge_id, x_request_token))
        if known is not None and known.total != body.total:
            raise Refused(422, "token_was_used")
        if known is not None:
            return Response(known.answer, known.status, {"x-again": "yes"}, "application/json")
        status, result = decide(charge, body.total, early or await session.scalar(clock))
        if HAS_VERSIONS and BUG != "refusal-unchecked":
            flag_modified(charge, "status")  # a refusal too is only right for this version
        answer = json.dumps(result)
        values = {"charge_id": charge_id, "token": x_request_token, "total": body.total}
        session.add(CaptureRequest(**values, status=status, answer=answer))
    return Response(answer, status, media_type="application/json")


def decide(charge: Charge, total: Decimal, now: datetime) -> tuple[int, dict]:
    if charge.status != "authorized":
        return 409, {"error": f"is_{charge.status}"}
    if now >= charge.valid_till:
        return 409, {"error": "too_late"}
    if total != charge.total:
        return 409, {"error": "another_total"}
    charge.status, charge.paid = "paid", total
    return 200, {"status": "paid"}


@app.post("/charges/{charge_id}/cancel")
@until_up_to_date
async def cancel(charge_id: UUID):
    async with Session.begin() as session:
        charge, _ = await locked(session, charge_id)
        if charge.status != "authorized":
            raise Refused(409, f"is_{charge.status}")
        charge.status = "cancelled"
    return {"charge": shown(charge)}


@app.post("/jobs/expire", status_code=204)
async def expire():
    due = update(Charge).where(Charge.status == "authorized", Charge.valid_till <= func.clock_timestamp())
    async with Session.begin() as session:
        await session.execute(due.values(status="cancelled", version=Charge.version + 1))


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
