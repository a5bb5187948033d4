"""A service is told where its database is in one form at every level, and as its driver wants it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import msgspec
import psycopg
import pytest

from payments_verify.binding import (
    Binding,
    BindingFileError,
    default_binding,
    default_text,
    parse,
    service_environment,
)
from payments_verify.binding.sections import Clock, Service
from payments_verify.systems import started_service
from pgweave.database_url import DatabaseUrl
from pgweave.embedded import EmbeddedPostgres
from tests.support.postgres import Database

SERVES = """
import http.server, json, os, pathlib, sys
names = ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")
pathlib.Path(sys.argv[1]).write_text(json.dumps({name: os.environ.get(name) for name in names}))
address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""
PARTS = {f"PG{name.upper()}": f"{{{name}}}" for name in ("host", "port", "user", "password", "database")}


def told(folder: Path, binding: Binding, dsn: str, *, behind_gate: bool) -> dict[str, str]:
    """What a service found in its environment."""
    program, found = folder / "serves.py", folder / "found.json"
    program.write_text(SERVES)
    binding = msgspec.structs.replace(binding, clock=Clock(by="none"), sweep=None, lock=None)

    async def start() -> None:
        command = f"exec {sys.executable} {program} {found}"
        async with started_service(command, binding, lambda: dsn, behind_gate=behind_gate):
            pass

    asyncio.run(start())
    said: dict[str, str] = json.loads(found.read_text())
    return said


def test_it_has_one_form_before_the_database_and_behind_the_gate(
    tmp_path: Path, shared_database: Database
) -> None:
    dsn = shared_database.dsn
    said = [
        told(tmp_path, default_binding(), dsn, behind_gate=each)["DATABASE_URL"] for each in (False, True)
    ]
    assert said[0] != said[1]
    of_one_form = {re.sub(r"@127\.0\.0\.1:\d+/", "@127.0.0.1:PORT/", each) for each in said}
    assert len(of_one_form) == 1
    assert of_one_form.pop().endswith("?sslmode=disable")
    assert {f"{each[:11]}{each[-16:]}" for each in said} == {"postgresql:?sslmode=disable"}


@pytest.mark.parametrize("behind_gate", [False, True])
def test_a_template_says_it_as_the_driver_wants_it(
    tmp_path: Path, shared_database: Database, behind_gate: bool
) -> None:
    url = "postgresql+asyncpg://{user}:{password}@{host}:{port}/{database}"
    binding = msgspec.structs.replace(
        default_binding(), service=Service(environment={"DATABASE_URL": url, **PARTS})
    )
    said = told(tmp_path, binding, shared_database.dsn, behind_gate=behind_gate)
    variables = {name: said[name] for name in PARTS}
    assert said["DATABASE_URL"] == url.format(**{name[2:].lower(): each for name, each in variables.items()})
    assert variables["PGHOST"] == "127.0.0.1"
    assert variables["PGDATABASE"] in shared_database.dsn


STRANGE = DatabaseUrl("us:er", "p@ss/wörd%", "127.0.0.1", "5433", "the base", {"sslmode": "disable"})


def test_strange_signs_are_escaped_in_urls_and_nowhere_else() -> None:
    jdbc = "jdbc:postgresql://{host}:{port}/{database}?user={user}&password={password}"
    made = service_environment({"JDBC_URL": jdbc, "PGPASSWORD": "{password}", "DSN": "user={user}"}, STRANGE)
    assert made == {
        "DATABASE_URL": "postgresql://us%3Aer:p%40ss%2Fw%C3%B6rd%25@127.0.0.1:5433/the%20base?sslmode=disable",
        "JDBC_URL": "jdbc:postgresql://127.0.0.1:5433/the%20base?user=us%3Aer&password=p%40ss%2Fw%C3%B6rd%25",
        "PGPASSWORD": "p@ss/wörd%",
        "DSN": "user=us:er",
    }
    assert DatabaseUrl.of(made["DATABASE_URL"]) == STRANGE


def test_what_a_connection_string_says_of_tls_stays_but_for_the_gate() -> None:
    given = DatabaseUrl.of("host=db.example port=6000 user=me dbname=mine sslmode=require")
    assert str(given) == "postgresql://me@db.example:6000/mine?sslmode=require"
    assert str(given.through(7000)) == "postgresql://me@127.0.0.1:7000/mine?sslmode=disable"


def test_a_unix_socket_is_an_option(postgres_server: EmbeddedPostgres) -> None:
    url = str(DatabaseUrl.of(postgres_server.dsn(unix_socket=True)))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT inet_client_addr()").fetchone() == (None,)


def test_a_placeholder_that_there_is_not_is_refused() -> None:
    text = default_text().replace('DATABASE_URL = "{url}"', 'PGHOST = "{hots}"')
    with pytest.raises(
        BindingFileError, match=r"service\.environment\.PGHOST: {hots} is no placeholder here"
    ):
        parse(text, "mine.toml")
