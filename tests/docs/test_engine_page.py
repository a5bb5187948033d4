"""The page on the engine: its code runs as it stands there, and says what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgweave import UseError
from tests.support.postgres import Database

PAGE = (Path(__file__).parents[2] / "specs" / "engine.md").read_text()
(_, CODE), (_, PRINTED) = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def printed(code: str, dsn: str, capsys: pytest.CaptureFixture[str]) -> str:
    placed = re.sub(r'^DSN = ".*?"', lambda _: f"DSN = {dsn!r}", code, flags=re.MULTILINE)
    assert placed != code
    exec(compile(placed, "engine.md", "exec"), {})
    return capsys.readouterr().out


def test_the_code_prints_what_the_page_says(
    empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [line.rstrip() for line in printed(CODE, empty_database.dsn, capsys).splitlines()]
    first, *picture = [line for line in PRINTED.splitlines() if line != "…"]
    assert told[0] == first
    assert "\n".join(picture) in "\n".join(told)


def test_with_a_lock_it_holds(empty_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    locked = CODE.replace('WHERE id = 1")', 'WHERE id = 1 FOR UPDATE")')
    assert locked != CODE
    told = printed(locked, empty_database.dsn, capsys)
    assert told == "holds: 6 schedules, one of each class\n"
    assert f"`{told.strip()}`" in PAGE


def test_a_client_that_goes_past_the_proxy_is_told(
    empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    past = CODE.replace(
        "    with psycopg.connect(dsn) as db:\n        free",
        "    with psycopg.connect(DSN) as db:\n        free",
    )
    assert past != CODE
    with pytest.raises(UseError, match="no client has sent a statement through the proxy"):
        printed(past, empty_database.dsn, capsys)
