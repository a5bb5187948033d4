"""A service that is not ours, as the average tutorial writes it: FastAPI over SQLAlchemy's session.

The time is the host's, the session commits at the end, a request that was seen is looked up by its key first.
It has no lock, and nothing in the schema that would stand in for one.
"""

import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
engine = create_async_engine(URL, pool_size=20)
Session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]
    status: Mapped[str] = mapped_column(default="created")
    expires_at: Mapped[str | None]


class SeenRequest(Base):
    __tablename__ = "idempotency_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int]
    key: Mapped[str]
    amount: Mapped[int]
    status_code: Mapped[int]
    detail: Mapped[str]


class Amount(BaseModel):
    amount: int = Field(gt=0, le=2_000_000_000, strict=True)


class Hold(BaseModel):
    seconds: int


@asynccontextmanager
async def lifespan(_app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def get_session():
    async with Session() as session:
        yield session


def now() -> datetime:
    return datetime.now(UTC)


async def get_payment(payment_id: int, session: AsyncSession) -> Payment:
    payment = await session.get(Payment, payment_id)
    if payment is None:
        raise HTTPException(404, "not found")
    return payment


def shown(payment: Payment) -> dict:
    return {"id": payment.id, "amount": payment.amount, "status": payment.status}


@app.post("/payments", status_code=201)
async def create(body: Amount, session: AsyncSession = Depends(get_session)):
    payment = Payment(amount=body.amount)
    session.add(payment)
    await session.commit()
    return shown(payment)


@app.get("/payments/{payment_id}")
async def read(payment_id: int, session: AsyncSession = Depends(get_session)):
    return shown(await get_payment(payment_id, session))


@app.post("/payments/{payment_id}/hold")
async def hold(payment_id: int, body: Hold, session: AsyncSession = Depends(get_session)):
    payment = await get_payment(payment_id, session)
    if payment.status != "created":
        raise HTTPException(409, payment.status)
    payment.status = "held"
    payment.expires_at = (now() + timedelta(seconds=body.seconds)).isoformat()
    await session.commit()
    return shown(payment)


@app.post("/payments/{payment_id}/capture")
async def capture(
    payment_id: int,
    body: Amount,
    idempotency_key: str = Header(),
    session: AsyncSession = Depends(get_session),
):
    payment = await get_payment(payment_id, session)
    query = select(SeenRequest).filter_by(payment_id=payment_id, key=idempotency_key)
    seen = (await session.scalars(query)).first()
    if seen is not None and seen.amount != body.amount:
        raise HTTPException(422, "key reused")
    if seen is not None:
        return JSONResponse({"detail": seen.detail}, seen.status_code)
    code, detail = 409, payment.status
    if payment.status == "held":
        if now() >= datetime.fromisoformat(payment.expires_at):
            detail = "expired"
        elif body.amount != payment.amount:
            detail = "wrong amount"
        else:
            payment.status = "captured"
            code, detail = 200, "captured now"
    session.add(
        SeenRequest(
            payment_id=payment_id, key=idempotency_key, amount=body.amount, status_code=code, detail=detail
        )
    )
    await session.commit()
    return JSONResponse({"detail": detail}, code)


@app.post("/payments/{payment_id}/cancel")
async def cancel(payment_id: int, session: AsyncSession = Depends(get_session)):
    payment = await get_payment(payment_id, session)
    if payment.status != "held":
        raise HTTPException(409, payment.status)
    payment.status = "cancelled"
    await session.commit()
    return shown(payment)


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
