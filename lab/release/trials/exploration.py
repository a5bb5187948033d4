"""Tries what the engine brings: two clients that lose a booking, and two that lock the row."""

from importlib.util import find_spec

import psycopg

from pgweave import explore
from pgweave.embedded import temporary_postgres


def setup(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS seats (id int PRIMARY KEY, free int NOT NULL)")
        db.execute("DELETE FROM seats")
        db.execute("INSERT INTO seats VALUES (1, 10)")


def book(lock: str, dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        (free,) = db.execute(f"SELECT free FROM seats WHERE id = 1 {lock}").fetchone() or (0,)
        db.execute("UPDATE seats SET free = %s WHERE id = 1", [free - 1])


def carelessly(dsn: str, _: None) -> None:
    book("", dsn)


def carefully(dsn: str, _: None) -> None:
    book("FOR UPDATE", dsn)


def two_are_gone(dsn: str, _: None, _answers: object) -> None:
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT free FROM seats").fetchone() == (8,), "a booking was lost"


found = [name for name in ("payments_core", "payments_model", "payments_verify") if find_spec(name)]
assert not found, f"the engine came with {found}"
with temporary_postgres() as server:
    for client in (carelessly, carefully):
        print(explore(server.dsn(), setup=setup, clients=[client, client], check=two_are_gone))  # noqa: T201
