"""Clients have the session that the connection string asks for: through the proxy as beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgweave import explore
from pgweave.database_url import DatabaseUrl, resolved
from tests.support.postgres import Database

OPTIONS = "-c default_transaction_isolation=serializable -c search_path=mine,public"
ASK = """
    SELECT current_setting('transaction_isolation'), current_setting('search_path'),
        current_setting('application_name'), current_setting('client_encoding'), current_database()
    FROM shows
"""


def a_table(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE SCHEMA IF NOT EXISTS mine")
        db.execute("CREATE TABLE IF NOT EXISTS mine.shows (id int PRIMARY KEY)")
        db.execute("TRUNCATE mine.shows")
        db.execute("INSERT INTO mine.shows VALUES (1)")


def session(dsn: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as db:
        return db.execute(ASK).fetchone()


def sessions(dsn: str) -> tuple[Any, Any]:
    """That of a client, and that of the check."""
    found: list[Any] = []

    def check(beside: str, _world: object, answers: list[Any]) -> None:
        found.extend([answers[0], session(beside)])

    result = explore(dsn, setup=a_table, clients=[session], check=check)
    assert result.holds, str(result)
    return found[0], found[1]


def test_options_lead_through_the_proxy(empty_database: Database) -> None:
    dsn = make_conninfo(
        empty_database.dsn,
        options=OPTIONS,
        application_name="mine",
        client_encoding="latin1",
        connect_timeout=9,
    )
    client, check = sessions(dsn)
    assert client == check
    assert client[:4] == ("serializable", "mine,public", "mine", "LATIN1")


def test_what_a_service_file_and_the_environment_say_leads_there_too(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {name: each for name, each in conninfo_to_dict(empty_database.dsn).items() if each}
    file = tmp_path / "services.conf"
    lines = [f"{name}={each}" for name, each in parts.items() if name != "dbname"]
    file.write_text("\n".join(["[shows]", *lines, f"options={OPTIONS}"]) + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    client, check = sessions(f"service=shows dbname={parts['dbname']}")
    assert client == check
    assert client[0] == "serializable"
    monkeypatch.setenv("PGHOST", str(parts["host"]))
    monkeypatch.setenv("PGPORT", str(parts["port"]))
    monkeypatch.setenv("PGPASSWORD", str(parts["password"]))
    monkeypatch.setenv("PGOPTIONS", OPTIONS)
    client, check = sessions(f"user={parts['user']} dbname={parts['dbname']}")
    assert client == check
    assert client[0] == "serializable"


def test_parameters_of_the_way_stay_behind() -> None:
    given = "host=db.example user=me dbname=mine sslmode=verify-full sslrootcert=/ca channel_binding=require"
    through = DatabaseUrl.of(f"{given} keepalives=0 options='-c role=app'").through(7000)
    assert str(through) == "postgresql://me@127.0.0.1:7000/mine?sslmode=disable&options=-c%20role%3Dapp"
    assert conninfo_to_dict(through.conninfo(host="/tmp/gate", port="5432")) == {
        "user": "me",
        "dbname": "mine",
        "host": "/tmp/gate",
        "port": "5432",
        "sslmode": "disable",
        "options": "-c role=app",
    }


def test_what_cannot_be_read_stays_as_it_is() -> None:
    assert resolved("service=there_is_none") == "service=there_is_none"
