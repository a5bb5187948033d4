"""A client that a service answers without a statement begins at every point of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pgweave import explore
from tests.support.loopback import DIRECT
from tests.support.postgres import Database


def test_what_is_read_from_memory_is_read_before_and_after_each_statement(empty_database: Database) -> None:
    memory: dict[str, int] = {}
    seen: set[str] = set()

    def setup(dsn: str) -> None:
        memory["balance"] = 100
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS accounts (balance int NOT NULL)")
            connection.execute("DELETE FROM accounts")
            connection.execute("INSERT INTO accounts VALUES (100)")

    def serve(dsn: str) -> Starlette:
        async def write(_request: Request) -> PlainTextResponse:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                for balance in (50, 0):
                    await connection.execute("UPDATE accounts SET balance = %s", [balance])
                    memory["balance"] = balance
            return PlainTextResponse("written")

        async def read(_request: Request) -> PlainTextResponse:
            return PlainTextResponse(str(memory["balance"]))

        return Starlette(routes=[Route("/write", write), Route("/read", read)])

    def write(url: str) -> str:
        return httpx.get(f"{url}/write", **DIRECT).text

    def read(url: str) -> str:
        return httpx.get(f"{url}/read", **DIRECT).text

    def note(_dsn: str, _made: object, answers: Sequence[Any]) -> None:
        seen.add(answers[1])

    result = explore(empty_database.dsn, setup=setup, clients=[write, read], check=note, service=serve)
    result.assert_holds()
    assert seen == {"100", "50", "0"}
