"""The front door discovers races: of each operation one run says with whom it is to be raced."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgweave
from pgweave import UseError, cli
from pgweave.pytest_plugin import Explorer
from tests.support.postgres import Database

BANK = """
import psycopg


def setup(dsn):
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS accounts (id int PRIMARY KEY, balance int NOT NULL)")
        db.execute("DELETE FROM accounts")
        db.execute("INSERT INTO accounts VALUES (1, 100)")


def withdraw(dsn):
    with psycopg.connect(dsn) as db:
        (balance,) = db.execute("SELECT balance FROM accounts WHERE id = 1LOCK").fetchone()
        db.execute("UPDATE accounts SET balance = %s WHERE id = 1", [balance - 30])
    return -30


def deposit(dsn):
    with psycopg.connect(dsn) as db:
        db.execute("UPDATE accounts SET balance = balance + 5 WHERE id = 1")
    return 5


def say_hello(dsn):
    with psycopg.connect(dsn) as db:
        db.execute("SELECT 'hello'")
    return 0


operations = {"withdraw": withdraw, "deposit": deposit, "say hello": say_hello}


def check(dsn, made, answers):
    with psycopg.connect(dsn) as db:
        (balance,) = db.execute("SELECT balance FROM accounts").fetchone()
    assert balance == 100 + sum(answers), "money was lost"


bank = {"setup": setup, "operations": operations, "check": check}
"""
LOCKED = BANK.replace("LOCK", " FOR UPDATE")
NAIVE = BANK.replace("LOCK", "")
TABLE = "CREATE TABLE IF NOT EXISTS marks (name text PRIMARY KEY, is_set bool NOT NULL)"


def bank(source: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(source, made)
    return dict(made["bank"])


def marks(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute(TABLE)
        db.execute("DELETE FROM marks")
        db.execute("INSERT INTO marks VALUES ('a', false), ('b', false), ('c', false)")


def mark_unless(seen: str, marked: str, dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        row = db.execute("SELECT is_set FROM marks WHERE name = %s", [seen]).fetchone()
        if row == (False,):
            db.execute("UPDATE marks SET is_set = true WHERE name = %s", [marked])


def one_is_free(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT FROM marks WHERE NOT is_set").fetchone() is not None, "all are marked"


def test_a_lost_update_is_discovered_told_and_replayed(empty_database: Database, tmp_path: Path) -> None:
    found = pgweave.discover(empty_database.dsn, **bank(NAIVE))
    assert found.violated is not None
    assert found.violated.operations == ("withdraw", "withdraw")
    assert found.verdict == "violated"
    told = str(found)
    assert told.startswith("withdraw and withdraw: violated in schedule 2: money was lost")
    assert "sees accounts(id 1) by `SELECT balance FROM accounts WHERE id = 1`" in told
    assert "1 of 3 races explored" in told
    with pytest.raises(AssertionError, match="money was lost"):
        found.assert_holds()
    found.save(tmp_path / "wrong.json")
    again = pgweave.replay(tmp_path / "wrong.json", empty_database.dsn, **bank(NAIVE))
    assert again.problem == "money was lost"
    with pytest.raises(UseError, match="cannot be run again"):
        pgweave.replay(tmp_path / "wrong.json", empty_database.dsn, **bank(LOCKED))
    others = {**bank(NAIVE), "operations": {"deposit": bank(NAIVE)["operations"]["deposit"]}}
    with pytest.raises(UseError, match=r"is of .*withdraw.*there are deposit"):
        pgweave.replay(tmp_path / "wrong.json", empty_database.dsn, **others)


def test_what_is_right_holds_and_what_shares_nothing_is_named(empty_database: Database) -> None:
    runs: list[int] = []
    found = pgweave.discover(empty_database.dsn, **bank(LOCKED), on_schedule=runs.append)
    found.assert_holds()
    assert [(each.name, each.is_foretold) for each in found.races] == [
        ("withdraw and withdraw", False),
        ("withdraw and deposit", False),
        ("deposit and deposit", False),
    ]
    assert found.independent == (
        "withdraw and say hello",
        "deposit and say hello",
        "say hello and say hello",
    )
    assert runs == list(range(1, found.schedules + 1))
    with pytest.raises(UseError, match="no wrong schedule"):
        found.save("nowhere.json")


def test_the_fixture_keeps_the_wrong_schedule(empty_database: Database, tmp_path: Path) -> None:
    explorer = Explorer(empty_database.dsn, tmp_path / "kept" / "wrong.json")
    found = explorer.discover(**bank(NAIVE))
    assert "the schedule is in" in str(found)
    assert explorer.replay(**bank(NAIVE)).problem == "money was lost"
    assert explorer.discover(**bank(LOCKED)).holds


def test_three_are_raced_where_no_two_are_wrong(empty_database: Database) -> None:
    circle = {
        f"{marked} unless {seen}": partial(mark_unless, seen, marked) for seen, marked in ("ab", "bc", "ca")
    }
    found = pgweave.discover(empty_database.dsn, setup=marks, operations=circle, check=one_is_free)
    assert found.violated is not None
    assert set(found.violated.operations) == set(circle)
    assert found.violated.is_foretold
    pairs = dict(list(circle.items())[:2])
    assert pgweave.discover(empty_database.dsn, setup=marks, operations=pairs, check=one_is_free).holds


def test_who_is_wrong_alone_is_told_first(empty_database: Database) -> None:
    given = bank(LOCKED)
    found = pgweave.discover(
        empty_database.dsn, **{**given, "check": lambda _dsn, _made, answers: answers != [5]}
    )
    assert found.violated is not None
    assert found.violated.operations == ("deposit",)
    assert len(found.races) == 1


def test_no_time_is_no_verdict(empty_database: Database) -> None:
    found = pgweave.discover(empty_database.dsn, **bank(LOCKED), limit_s=0)
    assert found.verdict == "no verdict"
    assert {each.result for each in found.races} == {None}
    assert "withdraw and withdraw: not explored" in str(found)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"operations": {}}, "there is no client"),
        ({"operations": [print]}, "the operations are no dict of names and functions"),
        ({"check": None}, "nothing says what is right"),
    ],
)
def test_what_cannot_be_discovered_is_told(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UseError, match=told):
        pgweave.discover("postgresql://nobody@127.0.0.1:1/none", **{**bank(LOCKED), **changed})


def test_operations_that_share_nothing_are_no_verdict(empty_database: Database) -> None:
    given = bank(LOCKED)
    lonely = {"say hello": given["operations"]["say hello"]}
    found = pgweave.discover(empty_database.dsn, **{**given, "operations": lonely})
    assert found.verdict == "no verdict"
    assert "no two operations share a row" in str(found)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str) -> tuple[int, str]:
        sys.modules.pop("bank", None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.app(list(words), prog_name="pgweave")
        read = capsys.readouterr()
        return int(ended.value.code or 0), read.out + read.err

    return run


def test_the_command_takes_a_module(
    empty_database: Database, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    where = ("--dsn", empty_database.dsn)
    (tmp_path / "bank.py").write_text(NAIVE)
    code, told = command("discover", "bank.py", *where)
    assert code == 1
    assert "the schedule is in bank.json" in told
    assert command("replay", "bank.json", "bank.py", *where)[0] == 1
    (tmp_path / "bank.py").write_text(LOCKED)
    code, told = command("discover", "bank:bank", *where, "--json")
    found = json.loads(told)
    assert (code, found["verdict"], len(found["races"])) == (0, "holds", 3)
    assert found["operations"] == ["withdraw", "deposit", "say hello"]
    code, told = command("discover", "bank:setup", *where)
    assert (code, "no verdict" in told) == (2, True)
