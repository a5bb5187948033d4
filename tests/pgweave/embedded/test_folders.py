"""The embedded server in folders with odd names, and where there is no folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from pgweave.embedded import EmbeddedPostgres, EmbeddedPostgresError, temporary_postgres
from tests.support.postgres import chosen_bin_dir


def embedded(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), durable=False, autovacuum=False)


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


def test_a_folder_that_no_path_can_name(reachable_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError):
        embedded(reachable_path.joinpath(*["m" * 120] * 40)).start()


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(EmbeddedPostgresError, match="TMPDIR"), temporary_postgres():
        raise AssertionError
