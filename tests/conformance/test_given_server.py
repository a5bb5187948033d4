"""Conformance on somebody else's server: databases are made there and dropped, its processes left alone."""

from __future__ import annotations

import asyncio
import os
import sys

import psycopg
import pytest
from typer.testing import CliRunner

from payments_verify.binding import default_binding
from payments_verify.cli import app
from payments_verify.systems import empty_databases, started_service
from pgweave.embedded import EmbeddedPostgres

COMMAND = (
    f"{sys.executable} -m payments_core migrate && exec {sys.executable} -m payments_core serve --port $PORT"
)


def databases(server: EmbeddedPostgres) -> set[str]:
    with psycopg.connect(server.dsn()) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}


def test_databases_are_made_on_it_and_dropped_and_its_processes_get_no_signal(
    postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def signalled() -> list[int]:
        signals: list[int] = []
        opening = started_service(COMMAND, default_binding(), new_database, behind_gate=True, ours=False)
        async with opening as gated:
            assert gated.database is not None
            with monkeypatch.context() as patched:
                patched.setattr(os, "kill", lambda pid, _signal: signals.append(pid))
                gated.database.turns.stop([1])
                gated.database.turns.go_on(1)
        return signals

    before = databases(postgres_server)
    with empty_databases(server=postgres_server.dsn()) as new_database:
        assert asyncio.run(signalled()) == []
        assert len(databases(postgres_server) - before) == 1
    assert databases(postgres_server) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--url", "http://127.0.0.1:1", "--server", "postgresql://u@127.0.0.1/d"], "that --command starts"),
        (["--command", "true", "--server", "postgresql://u:se@cret@127.0.0.1/d"], "no connection string"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: list[str], says: str) -> None:
    ended = CliRunner().invoke(app, ["conformance", *options], env={"COLUMNS": "200"})
    assert ended.exit_code == 2
    assert says in ended.output
    assert "cret" not in ended.output
