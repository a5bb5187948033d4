"""Migrations apply in order, once, all or nothing, whoever else is migrating."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from yoyo.backends import PostgresqlPsycopgBackend

from payments_core.infrastructure.postgres import migrate as module
from payments_core.infrastructure.postgres.migrate import (
    MigrationError,
    has_movable_clock,
    known,
    migrate,
    pending,
    roll_back,
)
from pgweave.embedded import EmbeddedPostgres, temporary_postgres
from tests.support.postgres import Database, chosen_bin_dir
from tests.support.processes import run

REPOSITORY = Path(__file__).parents[4]
ALL = ["0001-payments", "0002-guards", "0003-application-role", "0004-events", "0005-list-of-attempts"]


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()
    return {row[0] for row in rows if not row[0].startswith(("pg_", "sql_", "_yoyo", "yoyo_"))}


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the schema's migrations."""
    monkeypatch.setattr(module, "MIGRATIONS", tmp_path)
    return tmp_path


def test_an_empty_database_gets_everything_once(empty_database: Database) -> None:
    assert pending(empty_database.dsn) == ALL
    assert tables(empty_database.dsn) == set()
    assert migrate(empty_database.dsn) == ALL
    assert pending(empty_database.dsn) == []
    assert migrate(empty_database.dsn) == []
    assert tables(empty_database.dsn) == {"payments", "capture_attempts", "payment_events"}


def test_rolled_back_nothing_is_left_and_it_applies_again(database: Database) -> None:
    assert roll_back(database.dsn) == ALL[::-1]
    assert tables(database.dsn) == set()
    with psycopg.connect(database.dsn) as connection:
        functions = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert functions == []
    assert pending(database.dsn) == ALL
    assert migrate(database.dsn) == ALL


def test_every_migration_can_be_rolled_back() -> None:
    folder = module.MIGRATIONS
    ups = {path.stem for path in folder.glob("*.sql") if not path.name.endswith(".rollback.sql")}
    downs = {path.name.removesuffix(".rollback.sql") for path in folder.glob("*.rollback.sql")}
    assert ups == downs == set(ALL)


def test_the_application_may_ask_what_is_pending(database: Database, migrations: Path) -> None:
    (migrations / "9999-later.sql").write_text("SELECT 1;")
    assert pending(database.app_dsn) == ["9999-later"]


def test_a_key_value_connection_string(postgres_server: EmbeddedPostgres, empty_database: Database) -> None:
    password = (postgres_server.folder / "password").read_text().strip()
    conninfo = (
        f"host={postgres_server.socket_folder} port={postgres_server.port} "
        f"user=postgres password='{password}' dbname={empty_database.name}"
    )
    assert migrate(conninfo) == ALL
    assert pending(conninfo) == []


def test_migrators_that_run_together_apply_each_migration_once(empty_database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(migrate, [empty_database.dsn] * 6))
    assert sorted(applied, key=len) == [[], [], [], [], [], ALL]


def test_databases_of_one_cluster_migrated_together_share_the_role() -> None:
    with temporary_postgres(bin_dir=chosen_bin_dir()) as server, ThreadPoolExecutor(6) as pool:
        databases = [server.create_database(f"d{number}") for number in range(6)]
        assert list(pool.map(migrate, databases)) == [ALL] * 6


def test_a_migration_that_fails_leaves_nothing_and_stops_the_rest(
    empty_database: Database, migrations: Path
) -> None:
    (migrations / "1-good.sql").write_text("CREATE TABLE good ();")
    (migrations / "2-bad.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    (migrations / "3-never.sql").write_text("CREATE TABLE never ();")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database.dsn)
    assert tables(empty_database.dsn) == {"good"}
    assert pending(empty_database.dsn) == ["2-bad", "3-never"]
    (migrations / "2-bad.sql").write_text("CREATE TABLE whole ();")
    assert migrate(empty_database.dsn) == ["2-bad", "3-never"]


def test_a_migration_and_its_record_commit_together(
    empty_database: Database, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (migrations / "1-table.sql").write_text("CREATE TABLE t ();")
    monkeypatch.setattr(PostgresqlPsycopgBackend, "mark_one", die)
    with pytest.raises(KeyboardInterrupt):
        migrate(empty_database.dsn)
    monkeypatch.undo()
    assert tables(empty_database.dsn) == set()


def test_the_lock_row_of_a_dead_migrator_is_no_obstacle(empty_database: Database, migrations: Path) -> None:
    (migrations / "0-first.sql").write_text("SELECT 1;")
    migrate(empty_database.dsn)
    with psycopg.connect(empty_database.dsn) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
    (migrations / "1-table.sql").write_text("CREATE TABLE t ();")
    assert migrate(empty_database.dsn) == ["1-table"]


def test_waiting_for_another_migrator_has_a_limit(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_LIMIT_MS", 50)
    with psycopg.connect(empty_database.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [module.ADVISORY_LOCK])
        with pytest.raises(MigrationError, match="another process has been migrating"):
            migrate(empty_database.dsn)
    assert migrate(empty_database.dsn) == ALL


def test_the_wheel_carries_the_sql(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = "payments_core/infrastructure/postgres/migrations"
    assert {f"{folder}/{name}{suffix}" for name in ALL for suffix in (".sql", ".rollback.sql")} <= names
    assert "pgweave/clock.sql" in names


def test_whoever_migrates_needs_no_name(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container, the user may be a number alone; the resolver is asked nothing in a transaction."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    def slow(*_arguments: object) -> str:
        raise AssertionError("the resolver was asked")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr(socket, "getfqdn", slow)
    assert migrate(empty_database.dsn) == ALL
    with psycopg.connect(empty_database.dsn) as connection:
        told = connection.execute("SELECT DISTINCT username, hostname FROM _yoyo_log").fetchall()
    assert told == [(str(os.getuid()), socket.gethostname())]


@pytest.mark.parametrize("name", ["with[brackets]", "what?", "a*star"])
def test_a_folder_may_have_any_name(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(module.MIGRATIONS, tmp_path / name)
    monkeypatch.setattr(module, "MIGRATIONS", tmp_path / name)
    assert migrate(empty_database.dsn) == ALL


def test_a_folder_without_migrations_is_refused(empty_database: Database, migrations: Path) -> None:
    for use in (migrate, pending, roll_back, lambda _dsn: known()):
        with pytest.raises(MigrationError, match=f"no migrations in {migrations}"):
            use(empty_database.dsn)


def test_a_session_that_idles_keeps_its_turn(empty_database: Database) -> None:
    with psycopg.connect(empty_database.dsn, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {empty_database.name} SET idle_session_timeout = '100ms'".encode())
    with module.turn(empty_database.dsn) as connection:
        time.sleep(0.4)
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("path", ["''", "app", "app, public"])
def test_a_movable_clock_is_found_whatever_the_search_path(database: Database, path: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA app")
        owner.execute(
            "CREATE FUNCTION app.payment_clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'"
        )
        owner.execute(f"ALTER DATABASE {database.name} SET search_path = {path}".encode())
        assert not has_movable_clock(database.dsn)
        owner.execute("COMMENT ON FUNCTION public.payment_clock() IS 'movable'")
    assert has_movable_clock(database.dsn)
    refused = run(["sweep"], {"DATABASE_URL": database.dsn})
    assert refused.returncode == 2
    assert "the clock of this database can be moved" in refused.stderr


def test_a_schema_without_its_clock_is_refused(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER FUNCTION payment_clock() RENAME TO somebody_elses")
    with pytest.raises(MigrationError, match="payment_clock"):
        has_movable_clock(database.dsn)
    refused = run(["sweep"], {"DATABASE_URL": database.dsn})
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert "no function public.payment_clock()" in refused.stderr
