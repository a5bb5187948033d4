"""The page on the engine: its code runs as it stands there, and says what the page says."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pgweave import UseError, discover, explore
from tests.support.postgres import Database

PAGE = (Path(__file__).parents[2] / "specs" / "engine.md").read_text()
BLOCKS = [code for _, code in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
CODE, PRINTED, SPEC, DISCOVERED, FIXTURE = BLOCKS


def ran(*codes: str) -> dict[str, Any]:
    """The names that the code has bound, imported as a module would be."""
    names: dict[str, Any] = {}
    for code in codes:
        exec(compile(code, "engine.md", "exec"), names)
    return names


def test_the_code_prints_what_the_page_says(empty_database: Database) -> None:
    result = explore(empty_database.dsn, **ran(CODE)["race"])
    told = [line.rstrip() for line in str(result).splitlines()]
    first, *picture = [line for line in PRINTED.splitlines() if line != "…"]
    assert told[0] == first
    assert "\n".join(picture) in "\n".join(told)


def test_the_code_needs_no_database_that_somebody_else_has_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(compile(CODE, "engine.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.startswith(PRINTED.partition("\n")[0])


def test_with_a_lock_it_holds(empty_database: Database) -> None:
    locked = CODE.replace('WHERE id = 1")', 'WHERE id = 1 FOR UPDATE")')
    assert locked != CODE
    told = str(explore(empty_database.dsn, **ran(locked)["race"]))
    assert told == "holds: 6 schedules, one of each class"
    assert f"`{told}`" in PAGE


def test_the_spec_finds_the_same(empty_database: Database) -> None:
    result = explore(empty_database.dsn, **ran(CODE, SPEC)["race"])
    assert result.problem == "not linearizable: no order of the operations explains book -> 9"


def test_the_race_is_discovered(empty_database: Database) -> None:
    found = discover(empty_database.dsn, **ran(CODE, DISCOVERED)["seats"])
    assert found.violated is not None
    assert found.violated.operations == ("book", "book")
    locked = CODE.replace('WHERE id = 1")', 'WHERE id = 1 FOR UPDATE")')
    assert discover(empty_database.dsn, **ran(locked, DISCOVERED)["seats"]).holds


def test_the_test_is_a_test(empty_database: Database) -> None:
    names = ran(CODE, FIXTURE)
    explorer = SimpleNamespace(explore=partial(explore, empty_database.dsn))
    with pytest.raises(AssertionError, match="a booking was lost"):
        names["test_no_booking_is_lost"](explorer)


def test_a_client_that_goes_past_the_proxy_is_told(empty_database: Database) -> None:
    past = CODE.replace(
        "    with psycopg.connect(dsn) as db:\n        free",
        "    with psycopg.connect(DSN) as db:\n        free",
    )
    assert past != CODE
    race = ran(f"DSN = {empty_database.dsn!r}", past)["race"]
    with pytest.raises(UseError, match="no client has sent a statement through the proxy"):
        explore(empty_database.dsn, **race)
