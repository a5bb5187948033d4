"""A race that lies in a function of the user's own is found, whatever the function is called."""

from __future__ import annotations

import psycopg
import pytest

from pgweave import explore
from tests.support.postgres import Database

_SETUP = """
    CREATE SCHEMA IF NOT EXISTS app;
    CREATE TABLE IF NOT EXISTS bookings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    DELETE FROM bookings;
    CREATE OR REPLACE FUNCTION {function} RETURNS bool LANGUAGE sql
        AS 'SELECT count(*) < 1 FROM public.bookings';
"""


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("has_room(int)", "has_room(1)"),
        ("room_is_visible(int)", "room_is_visible(1)"),
        ("app.replace(int, text)", "app.replace(1, 'x')"),
        ("public.replace(int, text)", "replace(1, 'x')"),
        ("has_table_privilege(int, text)", "has_table_privilege(1, 'x'::text)"),
    ],
)
def test_a_look_through_a_function_is_a_step(empty_database: Database, function: str, call: str) -> None:
    def setup(dsn: str) -> None:
        with psycopg.connect(dsn) as db:
            db.execute(_SETUP.format(function=function).encode())

    def book(dsn: str) -> None:
        with psycopg.connect(dsn) as db:
            if db.execute(f"SELECT {call}".encode()).fetchone() == (True,):
                db.execute("INSERT INTO bookings DEFAULT VALUES")

    def check(dsn: str) -> None:
        with psycopg.connect(dsn) as db:
            found = db.execute("SELECT count(*) FROM bookings").fetchone()
        assert found == (1,), f"it is booked {found} times"

    result = explore(empty_database.dsn, setup=setup, clients=[book, book], check=check)
    with pytest.raises(AssertionError, match=r"it is booked \(2,\) times"):
        result.assert_holds()
