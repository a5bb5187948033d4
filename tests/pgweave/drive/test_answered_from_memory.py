"""A client that is answered without a statement begins at every point of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from pgweave import explore
from tests.support.postgres import Database


def test_what_is_read_from_memory_is_read_before_and_after_each_statement(empty_database: Database) -> None:
    memory: dict[str, int] = {}
    seen: set[int] = set()

    def setup(dsn: str) -> None:
        memory["balance"] = 100
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS accounts (balance int NOT NULL)")
            connection.execute("DELETE FROM accounts")
            connection.execute("INSERT INTO accounts VALUES (100)")

    def write(dsn: str, _made: object) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for balance in (50, 0):
                connection.execute("UPDATE accounts SET balance = %s", [balance])
                memory["balance"] = balance

    def read(_dsn: str, _made: object) -> int:
        return memory["balance"]

    def note(_dsn: str, _made: object, answers: Sequence[Any]) -> None:
        seen.add(answers[1])

    result = explore(empty_database.dsn, setup=setup, clients=[write, read], check=note)
    result.assert_holds()
    assert seen == {100, 50, 0}
