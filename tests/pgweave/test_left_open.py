"""A client that leaves its connection in a transaction: it is told, drawn as it was, and soon."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from pgweave import explore
from pgweave.drive import race
from pgweave.gate import Gate
from pgweave.leftovers import Leftovers
from pgweave.scenario import Scenario
from pgweave.scheduler import Limits, Run
from tests.support.postgres import Database


def setup(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS coupons (id int PRIMARY KEY, uses int NOT NULL)")
        db.execute("DELETE FROM coupons")
        db.execute("INSERT INTO coupons VALUES (1, 3)")


def test_a_connection_that_is_left_in_its_transaction_is_wrong(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[psycopg.Connection] = []
    looks: list[int] = []

    class Watched(Run):
        def __init__(self, *asked: Any, limits: Limits, **options: Any) -> None:
            looks.append(limits.left)
            super().__init__(*asked, limits=limits, **options)

    def redeem(dsn: str) -> None:
        kept.append(psycopg.connect(dsn))
        kept[-1].execute("SELECT uses FROM coupons FOR UPDATE")

    monkeypatch.setattr(race, "Run", Watched)
    # Nothing of it is stored: the check alone would find nothing.
    result = explore(empty_database.dsn, setup=setup, clients=[redeem, redeem], check=lambda: True)
    for connection in kept:
        connection.close()
    assert "was left inside a transaction, with its locks, when all was answered" in result.problem
    assert result.picture.count("waits") == 1, "the first was answered, and waits for nothing"
    assert (looks[0], set(looks[1:])) == (250, {25}), "what is known is not waited for again"


def test_a_client_whose_own_limit_has_passed_does_not_hang() -> None:
    async def set_up_nothing() -> None: ...

    def impatient() -> None:
        raise TimeoutError("the service took too long")

    scenario = Scenario(setup=lambda: None, clients=[impatient], check=lambda: True)
    gate = cast("Gate", SimpleNamespace(tcp_dsn="", sessions=[]))
    asyncio.run(Leftovers(scenario, gate, "", set_up_nothing).learn())
