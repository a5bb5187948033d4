"""The embedded server in environments that are about other servers, and in folders with odd names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import httpx
import psycopg
import pytest

from payments_core.infrastructure.embedded import EmbeddedPostgres, EmbeddedPostgresError, temporary_postgres
from tests.support.postgres import Database, chosen_bin_dir
from tests.support.processes import run, serving


def embedded(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), durable=False, autovacuum=False)


FOREIGN = {
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "203.0.113.1",
    "PGPORT": "1",
    "PGSERVICE": "none",
    "PGOPTIONS": "-c search_path=elsewhere -c bogus=1",
    "PGSSLMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGCLIENTENCODING": "EUC_TW",
    "PGCONNECT_TIMEOUT": "soon",
    "PGTZ": "nowhere",
    "PGDATESTYLE": "none",
}


def test_variables_that_are_about_another_server_change_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, ["--demo"], **FOREIGN) as service:
        answer = httpx.post(f"{service.url}/payments", json={"amount_cents": 500}, timeout=30)
        assert answer.status_code == 201


ODD_NAMES = [
    "a,b",
    " a b ",
    "q'uote",
    'd"quote',
    "ünï",
    "per%cent",
    "new\nline",
    "$x",
    "back\\slash",
    "l" * 150,
    os.fsdecode(b"latin-\xe9"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_folders_with_odd_names(reachable_path: Path, name: str) -> None:
    with embedded(reachable_path / name / "server") as running:
        for unix_socket in (False, True):
            with psycopg.connect(running.dsn(unix_socket=unix_socket)) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_temporary_folder_whose_name_is_no_text(reachable_path: Path, tmp_path: Path) -> None:
    folder = reachable_path / os.fsdecode(b"latin-\xe9")
    folder.mkdir(mode=0o711)
    with serving(tmp_path, ["--demo"], TMPDIR=str(folder), PYTHONIOENCODING="utf-8") as service:
        answer = httpx.post(f"{service.url}/payments", json={"amount_cents": 500}, timeout=30)
        assert answer.status_code == 201


def test_a_folder_that_no_path_can_name(reachable_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError):
        embedded(reachable_path.joinpath(*["m" * 120] * 40)).start()


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(EmbeddedPostgresError, match="TMPDIR"), temporary_postgres():
        raise AssertionError


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_variable_with_which_a_given_database_cannot_be_reached(database: Database, name: str) -> None:
    """Where `DATABASE_URL` names a server, libpq's variables are the operator's, and errors say so."""
    for command in (["migrate"], ["sweep"]):
        ended = run(command, {"DATABASE_URL": database.dsn, name: FOREIGN[name]})
        assert ended.returncode in {0, 2}
        assert "Traceback" not in ended.stderr
