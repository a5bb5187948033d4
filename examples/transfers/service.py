"""Money moves between accounts, booked twice: FastAPI and SQLAlchemy."""

from __future__ import annotations

import os

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import ForeignKey, Identity, create_engine, make_url, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateTable


class Base(DeclarativeBase):
    """The tables."""


class Account(Base):
    """Who owns how much. It is never less than nothing."""

    __tablename__ = "accounts"
    name: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class Entry(Base):
    """One side of a transfer; the two sides add up to nothing."""

    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name"))
    cents: Mapped[int]


TABLES = "; ".join(
    str(CreateTable(table, if_not_exists=True).compile(dialect=postgresql.dialect()))
    for table in Base.metadata.sorted_tables
)


class Transfer(BaseModel):
    """What is asked."""

    source: str
    target: str
    cents: int = Field(gt=0)


def application(dsn: str, bug: str | None = None) -> FastAPI:
    """The service on one database.

    Args:
        dsn: the database.
        bug: what is wrong with it; what `BUG` in the environment says, if not given.
    """
    bug = os.environ.get("BUG", "") if bug is None else bug
    engine = create_engine(make_url(dsn).set(drivername="postgresql+psycopg"))
    app = FastAPI()

    def find(session: Session, name: str, *, lock: bool) -> Account:
        wanted = select(Account).where(Account.name == name)
        found = session.scalar(wanted.with_for_update(key_share=True) if lock else wanted)
        if found is None:
            raise HTTPException(404, f"there is no account {name}")
        return found

    def both(session: Session, asked: Transfer) -> tuple[Account, Account]:
        """The accounts, locked in the order of their names, so that no two transfers wait for each other."""
        names = [asked.source, asked.target]
        ordered = names if bug == "in-the-order-given" else sorted(names)
        found = {name: find(session, name, lock=bug != "no-lock") for name in ordered}
        return found[asked.source], found[asked.target]

    @app.post("/transfers", status_code=201)
    def transfer(asked: Transfer) -> dict[str, int]:
        if asked.source == asked.target:
            raise HTTPException(422, "an account pays nothing to itself")
        if bug == "looks-before-it-locks":
            with Session(engine) as session:
                enough = find(session, asked.source, lock=False).cents >= asked.cents
        with Session(engine) as session:
            source, target = both(session, asked)
            if bug != "looks-before-it-locks":
                enough = source.cents >= asked.cents
            if not enough:
                raise HTTPException(409, "that is more than there is")
            source.cents -= asked.cents
            session.add(Entry(account=source.name, cents=-asked.cents))
            if bug == "two-transactions":
                session.commit()
            target.cents += asked.cents
            session.add(Entry(account=target.name, cents=asked.cents))
            left = source.cents
            session.commit()
        return {"left": left}

    @app.get("/total")
    def total() -> dict[str, int]:
        with Session(engine) as session:
            return {"cents": sum(session.scalars(select(Account.cents)))}

    return app
