"""The front door with a service that is an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import psycopg
import pytest

from pgweave import UseError, explore, race
from pgweave.scheduler import Limits
from tests.support.loopback import DIRECT
from tests.support.postgres import Database

Lend = Callable[[list[psycopg.AsyncConnection[Any]], str], Awaitable[psycopg.AsyncConnection[Any]]]


async def lend_as_it_is(pool: list[psycopg.AsyncConnection[Any]], dsn: str) -> psycopg.AsyncConnection[Any]:
    return pool.pop(0) if pool else await psycopg.AsyncConnection.connect(dsn)


async def roll_back_first(pool: list[psycopg.AsyncConnection[Any]], dsn: str) -> psycopg.AsyncConnection[Any]:
    connection = await lend_as_it_is(pool, dsn)
    await connection.rollback()
    return connection


async def ask_first(pool: list[psycopg.AsyncConnection[Any]], dsn: str) -> psycopg.AsyncConnection[Any]:
    connection = await lend_as_it_is(pool, dsn)
    try:
        await connection.execute("SELECT 1")
    except psycopg.errors.InFailedSqlTransaction:
        await connection.rollback()
    return connection


async def live(pool: list[psycopg.AsyncConnection[Any]], receive: Any, send: Any) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})
    for connection in pool:
        await connection.close()


@pytest.fixture(autouse=True)
def brief_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "LIMITS", Limits(stall=50))


def names(lend: Lend) -> Callable[[str], Any]:
    """A service that gives each name once; it forgets to end a transaction in which the name was taken."""

    def application(dsn: str) -> Any:
        pool: list[psycopg.AsyncConnection[Any]] = []

        async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await live(pool, receive, send)
                return
            connection, status = await lend(pool, dsn), 201
            try:
                await connection.execute("INSERT INTO names VALUES (%s)", [scope["path"][1:]])
                await connection.commit()
            except psycopg.errors.UniqueViolation:
                status = 409
            except psycopg.Error:
                status = 500
            pool.append(connection)
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return answer

    return application


def setup(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS names (name text UNIQUE)")
        db.execute("DELETE FROM names")


async def take(url: str) -> int:
    async with httpx.AsyncClient(timeout=60, **DIRECT) as http:
        return (await http.post(f"{url}/anna")).status_code


def take_plainly(url: str) -> int:
    return httpx.post(f"{url}/anna", timeout=60, **DIRECT).status_code


def one_has_it(_dsn: str, _world: object, answers: Sequence[int]) -> None:
    assert sorted(answers) == [201, 409], f"they were answered {answers}"


@pytest.mark.parametrize("lend", [roll_back_first, ask_first])
def test_an_application_that_is_right_holds(empty_database: Database, lend: Lend) -> None:
    explore(
        empty_database.dsn, setup=setup, service=names(lend), clients=[take, take_plainly], check=one_has_it
    ).assert_holds()


def test_a_failed_transaction_that_is_lent_again_is_wrong(empty_database: Database) -> None:
    result = explore(
        empty_database.dsn, setup=setup, service=names(lend_as_it_is), clients=[take, take], check=one_has_it
    )
    assert "was left inside a transaction that had failed, and then take met nobody" in result.problem
    assert result.problem.endswith("was answered 500 in place of 201")


def test_an_application_that_refuses_to_start_is_told(empty_database: Database) -> None:
    def refusing(_dsn: str) -> Any:
        async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert scope["type"] == "lifespan"
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "the table is missing"})

        return application

    with pytest.raises(UseError, match=r"the service does not serve: .*\n(.*\n)*.*the table is missing"):
        explore(empty_database.dsn, setup=setup, service=refusing, clients=[take], check=one_has_it)


def test_an_application_that_has_its_database_already_is_told(empty_database: Database) -> None:
    application = names(lend_as_it_is)(empty_database.dsn)
    with pytest.raises(UseError, match="give a function that makes it from the string"):
        explore(empty_database.dsn, setup=setup, service=application, clients=[take], check=one_has_it)
