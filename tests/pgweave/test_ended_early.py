"""What clients do after their run was ended early was not scheduled, and shows nothing."""

from __future__ import annotations

import asyncio

import psycopg

from pgweave.race import race_of
from pgweave.scenario import Scenario
from tests.support.postgres import Database


def a_table(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE TABLE IF NOT EXISTS shows (id int PRIMARY KEY)")


def asks(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("SELECT id FROM shows")


def test_a_client_that_was_not_chosen_was_not_answered_without_a_statement(empty_database: Database) -> None:
    async def main() -> tuple[bool, bool]:
        scenario = Scenario(a_table, [asks, asks], check=a_table)
        async with race_of(scenario, empty_database.dsn) as race:
            execution = await race.run(lambda _situation: None)
            return execution.complete, race.facts.answers_alone

    assert asyncio.run(main()) == (False, False)
