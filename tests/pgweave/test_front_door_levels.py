"""The isolation level of a connection that is kept from run to run is known in each."""

from __future__ import annotations

import psycopg
import pytest

from pgweave import explore
from tests.support.postgres import Database

REPEATABLE = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"


def setup(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS ones (id int PRIMARY KEY)")
        db.execute("CREATE TABLE IF NOT EXISTS others (id int PRIMARY KEY, n int)")
        db.execute("DELETE FROM others")
        db.execute("INSERT INTO others VALUES (1, 0)")


def write(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("UPDATE others SET n = 1 WHERE id = 1")


def check(_dsn: str, _world: None, answers: list[object]) -> None:
    assert answers[0] == (0,), f"it sees {answers[0]}"


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("", REPEATABLE),
        ("-c default_transaction_isolation=repeatable\\ read", ""),
        ("", "SELECT set_config('default_transaction_isolation', 'serializable', false)"),
    ],
)
def test_a_snapshot_before_the_write_and_one_after_it_are_two(
    empty_database: Database, options: str, first: str
) -> None:
    kept: list[psycopg.Connection] = []

    def look(dsn: str) -> object:
        if not kept:
            kept.append(psycopg.connect(dsn, options=options))
            if first:
                kept[0].execute(first.encode())
                kept[0].commit()
        with kept[0].transaction():
            kept[0].execute("SELECT FROM ones")
            return kept[0].execute("SELECT n FROM others WHERE id = 1").fetchone()

    try:
        result = explore(empty_database.dsn, setup=setup, clients=[look, write], check=check)
    finally:
        kept[0].close()
    with pytest.raises(AssertionError, match=r"it sees \(1,\)"):
        result.assert_holds()
