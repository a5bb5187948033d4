"""The front door with clients that do the same several times: no order is left out for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgweave import explore, replay
from tests.support.postgres import Database

Client = Callable[[str], Any]
SELL = "UPDATE shows SET sold = sold + 1 WHERE id = 1"


def a_show(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS shows (id int PRIMARY KEY, sold int NOT NULL)")
        db.execute("CREATE TABLE IF NOT EXISTS seats (id int PRIMARY KEY, free int NOT NULL)")
        db.execute("TRUNCATE shows, seats")
        db.execute("INSERT INTO shows VALUES (1, 0)")
        db.execute("INSERT INTO seats SELECT id, 1 FROM generate_series(1, 14) id")


def repeating(*statements: str, times: int = 4) -> Client:
    def repeat(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            for _ in range(times):
                for each in statements:
                    db.execute(each.encode())

    return repeat


def inserts_in_one_transaction(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        for show in range(2, 6):
            db.execute(f"INSERT INTO shows VALUES ({show}, 0)".encode())


def sold(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as db:
        row = db.execute("SELECT sold FROM shows WHERE id = 1").fetchone()
    assert row is not None
    return int(row[0])


def shows(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as db:
        row = db.execute("SELECT count(*) FROM shows").fetchone()
    assert row is not None
    return int(row[0])


def looking(times: int, seat: Callable[[int], int] = lambda _look: 1) -> Client:
    """Looks so many times, whatever it sees, and then sells."""

    def look(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            for each in range(times):
                db.execute(f"SELECT free FROM seats WHERE id = {seat(each)}".encode())
            db.execute(SELL)

    return look


@pytest.mark.parametrize(
    ("writes", "reads", "answers"),
    [
        (repeating(SELL), sold, {0, 1, 2, 3, 4}),
        (repeating("BEGIN", SELL, "COMMIT"), sold, {0, 1, 2, 3, 4}),
        (inserts_in_one_transaction, shows, {1, 5}),
    ],
)
def test_one_that_writes_the_same_several_times_is_met_after_each(
    empty_database: Database, writes: Client, reads: Client, answers: set[int]
) -> None:
    seen = set()
    result = explore(
        empty_database.dsn,
        setup=a_show,
        clients=[writes, reads],
        check=lambda _dsn, _world, told: seen.add(told[1]),
    )
    assert result.holds, str(result)
    assert (seen, result.polled) == (answers, False)


TAKE = """
    UPDATE seats SET free = 0 WHERE id = 1 RETURNING (SELECT sold FROM shows WHERE id = 1)
"""


def takes_a_seat(dsn: str) -> int:
    """Changes what the other looks at, and sees what it does afterwards."""
    with psycopg.connect(dsn, autocommit=True) as db:
        row = db.execute(TAKE).fetchone()
    assert row is not None
    return int(row[0])


def nothing_was_sold_before(_dsn: str, _world: object, answers: list[Any]) -> bool:
    return bool(answers[1] == 0)


@pytest.mark.parametrize("times", [4, 12])
def test_one_that_reads_the_same_and_goes_on_may_go_on_before_others_begin(
    empty_database: Database, times: int, tmp_path: Path
) -> None:
    """It is found to wait for nobody, and the exploration begins again."""
    given: dict[str, Any] = {"setup": a_show, "check": nothing_was_sold_before}
    clients = [looking(times), takes_a_seat]
    result = explore(empty_database.dsn, clients=clients, **given)
    assert result.problem == "the check returned False", str(result)
    result.save(tmp_path / "schedule.json")
    again = replay(tmp_path / "schedule.json", empty_database.dsn, clients=clients, **given)
    assert (again.problem, again.schedule) == (result.problem, result.schedule)


def test_one_that_reads_too_often_to_be_told_from_a_poller_leaves_no_verdict(
    empty_database: Database,
) -> None:
    result = explore(
        empty_database.dsn,
        setup=a_show,
        clients=[looking(14), repeating(SELL, times=1)],
        check=lambda dsn: sold(dsn) >= 1,
    )
    assert (result.verdict, result.complete) == ("no verdict", False)
    assert "asked the same again and again, and went on although nobody had done anything" in str(result)


def test_one_that_asks_for_something_else_each_time_is_no_poller(empty_database: Database) -> None:
    given: dict[str, Any] = {"setup": a_show, "check": nothing_was_sold_before}
    clients = [looking(14, lambda look: look + 1), takes_a_seat]
    result = explore(empty_database.dsn, clients=clients, **given)
    assert (result.problem, result.polled) == ("the check returned False", False)


def test_that_clients_wait_for_others_is_told(empty_database: Database) -> None:
    def waits(dsn: str) -> None:
        while not sold(dsn):
            pass

    result = explore(
        empty_database.dsn, setup=a_show, clients=[waits, repeating(SELL, times=1)], check=lambda _dsn: None
    )
    assert result.holds, str(result)
    assert result.polled
    assert str(result).endswith("; clients that ask the same again and again wait for others")
