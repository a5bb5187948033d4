"""The front door: races of code that knows nothing of the engine, async and in threads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgweave import Command, Result, UseError, explore, replay
from pgweave.scheduler import Run
from pgweave.service.http_client import http_client
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

READ = "SELECT balance FROM accounts WHERE name = %s"
WRITE = "UPDATE accounts SET balance = %s WHERE name = %s"
Names = tuple[str, str]


def two_accounts(dsn: str) -> Names:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS accounts (name text PRIMARY KEY, balance int NOT NULL)"
        )
        connection.execute("DELETE FROM accounts")
        connection.execute("INSERT INTO accounts VALUES ('a', 100), ('b', 100)")
    return "a", "b"


def balances(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [balance for (balance,) in connection.execute("SELECT balance FROM accounts ORDER BY name")]


def money_is_conserved(dsn: str, _names: Names, _answers: Sequence[Any]) -> None:
    assert sum(balances(dsn)) == 200, f"the balances are {balances(dsn)}"


def transfer(lock: str, amount: int = 10) -> Callable[[str, Names], Awaitable[str]]:
    """From the first account to the second: reads both, and writes what it has computed."""

    async def transfer(dsn: str, names: Names) -> str:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            found = [(await (await connection.execute(READ + lock, [name])).fetchone()) for name in names]
            for name, row, change in zip(names, found, (-amount, amount), strict=True):
                assert row is not None
                await connection.execute(WRITE, [row[0] + change, name])
        return "done"

    return transfer


def plain_transfer(lock: str, dsn: str, names: Names) -> str:
    with psycopg.connect(dsn) as connection:
        found = [connection.execute(READ + lock, [name]).fetchone() for name in names]
        for name, row, change in zip(names, found, (-10, 10), strict=True):
            assert row is not None
            connection.execute(WRITE, [row[0] + change, name])
    return "done"


def both_are_moved(dsn: str, _names: Names, answers: Sequence[Any]) -> None:
    assert list(answers) == ["done", "done"]
    assert balances(dsn) == [80, 120], f"the balances are {balances(dsn)}"


LOCKING = [transfer(" FOR UPDATE"), transfer(" FOR UPDATE")]
NAIVE = [transfer(""), transfer("")]


def test_what_locks_holds_in_every_order(empty_database: Database) -> None:
    result = explore(empty_database.dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved)
    result.assert_holds()
    assert result == Result(schedules=6, complete=True)
    assert str(result) == "holds: 6 schedules, one of each class"


@pytest.mark.parametrize(
    "clients", [NAIVE, [partial(plain_transfer, ""), partial(plain_transfer, "")]], ids=["async", "threads"]
)
def test_a_lost_update_is_found_drawn_and_replayed(
    empty_database: Database, tmp_path: Path, clients: Sequence[Any]
) -> None:
    dsn, file = empty_database.dsn, tmp_path / "lost.json"
    result = explore(dsn, setup=two_accounts, clients=clients, check=both_are_moved)
    assert not result.holds
    assert result.problem.startswith("the balances are [90, 1")
    assert "UPDATE accounts" in result.picture
    assert result.switches == 2
    with pytest.raises(AssertionError, match=r"violated in schedule \d+: the balances are \[90, 1"):
        result.assert_holds()
    result.save(file)
    for _ in range(3):
        again = replay(file, dsn, setup=two_accounts, clients=clients, check=both_are_moved)
        assert (again.problem, again.schedule) == (result.problem, result.schedule)
    with pytest.raises(UseError, match="the schedule cannot be run again"):
        replay(file, dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved)


def test_threads_that_lock_hold(empty_database: Database) -> None:
    clients = [partial(plain_transfer, " FOR UPDATE")] * 2
    result = explore(empty_database.dsn, setup=two_accounts, clients=clients, check=both_are_moved)
    assert (result.holds, result.schedules) == (True, 6)


def test_a_deadlock_that_nobody_handles_is_what_a_client_raised(empty_database: Database) -> None:
    there = transfer(" FOR UPDATE")

    async def back(dsn: str, names: Names) -> str:
        return await there(dsn, (names[1], names[0]))

    clients = [there, back]
    result = explore(empty_database.dsn, setup=two_accounts, clients=clients, check=money_is_conserved)
    assert "raised DeadlockDetected: deadlock detected" in result.problem
    assert "40P01" in result.picture


def test_who_stops_early_has_no_verdict(empty_database: Database) -> None:
    result = explore(
        empty_database.dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved, limit_s=1e-9
    )
    assert (result.holds, result.problem) == (False, "")
    with pytest.raises(AssertionError, match=r"no verdict: .* not everything was run"):
        result.assert_holds()


def test_a_check_may_answer_with_false(empty_database: Database) -> None:
    result = explore(
        empty_database.dsn, setup=two_accounts, clients=LOCKING, check=lambda _dsn, _names, _answers: False
    )
    assert result.problem == "the check returned False"


def test_clients_that_do_otherwise_the_next_time_have_no_verdict(empty_database: Database) -> None:
    numbers = count()

    async def numbered(dsn: str, names: Names) -> int:
        await LOCKING[0](dsn, names)
        return next(numbers)

    result = explore(empty_database.dsn, setup=two_accounts, clients=[numbered] * 3, check=money_is_conserved)
    assert (result.holds, result.problem) == (False, "")
    assert "the result was" in str(result)


def test_statements_that_no_client_sent_leave_no_verdict(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "strays", ["connection 7"])
    result = explore(empty_database.dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved)
    assert (result.holds, result.problem) == (False, "")
    assert "statements were sent while no client ran, and not scheduled: ['connection 7']" in str(result)


async def nothing(_dsn: str, _names: Names) -> None: ...


def open_setup(kept: list[psycopg.Connection], dsn: str) -> Names:
    names = two_accounts(dsn)
    kept.append(psycopg.connect(dsn))
    kept[-1].execute("SELECT 1")
    return names


def test_what_keeps_it_from_a_verdict_is_told(empty_database: Database, tmp_path: Path) -> None:
    dsn = empty_database.dsn
    with pytest.raises(UseError, match="there is no client"):
        explore(dsn, setup=two_accounts, clients=[], check=both_are_moved)
    with pytest.raises(UseError, match="no client has sent a statement through the proxy"):
        explore(dsn, setup=two_accounts, clients=[nothing, nothing], check=both_are_moved)
    with pytest.raises(UseError, match="the check cannot be made: it raised ZeroDivisionError"):
        explore(dsn, setup=two_accounts, clients=LOCKING, check=lambda *_: 1 // 0)
    with pytest.raises(UseError, match="there is no wrong schedule"):
        Result(1, complete=True).save(tmp_path / "none.json")
    (tmp_path / "other.json").write_text(
        '{"format": "other", "version": 1, "schedule": [], "statements": []}'
    )
    later = '{"format": "pgweave-schedule", "version": 2, "schedule": [], "statements": []}'
    (tmp_path / "later.json").write_text(later)
    reasons = {
        "none.json": "FileNotFoundError",
        "other.json": r"its format is \('other', 1\)",
        "later.json": r"its format is \('pgweave-schedule', 2\), and not \('pgweave-schedule', 1\)",
    }
    for name, why in reasons.items():
        with pytest.raises(UseError, match=f"{name} is no schedule: .*{why}|is no schedule: {why}"):
            replay(tmp_path / name, dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved)


def test_a_setup_that_leaves_its_transaction_open_is_told(empty_database: Database) -> None:
    kept: list[psycopg.Connection] = []
    setup = partial(open_setup, kept)
    with pytest.raises(UseError, match="after the setup a transaction is open"):
        explore(empty_database.dsn, setup=setup, clients=LOCKING, check=both_are_moved)
    for connection in kept:
        connection.close()


SERVICE = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer("ready")

    def do_POST(self):
        with psycopg.connect(os.environ["DATABASE"]) as connection:
            name = self.path[1:]
            read = "SELECT balance FROM accounts WHERE name = %s" + sys.argv[1]
            found = connection.execute(read, [name]).fetchone()
            connection.execute("UPDATE accounts SET balance = %s WHERE name = %s", [found[0] - 10, name])
        self.answer("paid")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def service(folder: Path, lock: str) -> Command:
    file = folder / "service.py"
    file.write_text(SERVICE)
    return Command(f"exec {sys.executable} {file} {lock!r}", variable="DATABASE")


async def pay(url: str, names: Names) -> str:
    async with http_client(url, limit_s=60) as http:
        return (await http.post(f"/{names[0]}")).text


def both_have_paid(dsn: str, _names: Names, answers: Sequence[Any]) -> None:
    assert (list(answers), balances(dsn)) == (["paid", "paid"], [80, 100]), "a payment was lost"


@pytest.mark.parametrize(("lock", "problem"), [(" FOR UPDATE", ""), ("", "a payment was lost")])
def test_a_service_that_a_command_starts(
    empty_database: Database, tmp_path: Path, lock: str, problem: str
) -> None:
    result = explore(
        empty_database.dsn,
        service=service(tmp_path, lock),
        setup=two_accounts,
        clients=[pay, pay],
        check=both_have_paid,
    )
    assert (result.problem.partition("\n")[0], result.holds) == (problem, not problem)
    assert result.schedules == (2 if problem else 6)


def test_a_service_that_does_not_serve_is_told(empty_database: Database) -> None:
    with pytest.raises(UseError, match=r"the service does not serve: .*it ended with 3"):
        explore(
            empty_database.dsn,
            service=Command("exit 3"),
            setup=two_accounts,
            clients=[pay],
            check=both_have_paid,
        )


async def test_in_an_event_loop_it_says_what_to_do(empty_database: Database) -> None:
    with pytest.raises(UseError, match=r"in an event loop: .* asyncio\.to_thread"):
        explore(empty_database.dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved)
    result = await asyncio.to_thread(
        explore, empty_database.dsn, setup=two_accounts, clients=LOCKING, check=both_are_moved
    )
    assert result.holds
