"""The embedded server starts, protects its data, says what is wrong, and never outlives its starter."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgweave.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    process,
    server,
    temporary_postgres,
)
from pgweave.loopback import free_port
from tests.support.postgres import chosen_bin_dir, reachable_folder

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")


def embedded(folder: Path, **options: object) -> EmbeddedPostgres:
    defaults = {"bin_dir": chosen_bin_dir(), "durable": False, "autovacuum": False}
    return EmbeddedPostgres(folder, **(defaults | options))  # type: ignore[arg-type]


def query(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended but whose parent has not looked (a zombie) does not."""
    if not Path("/proc/self/stat").exists():
        asked = ["ps", "-o", "stat=", "-p", str(pid)]
        state = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        return state != "" and not state.startswith("Z")
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


@pytest.fixture(scope="module")
def used_folder() -> Iterator[Path]:
    """A server folder with a cluster in it, not running: saves each test its initdb."""
    with reachable_folder() as parent:
        folder = parent / "server"
        with embedded(folder):
            pass
        yield folder


def test_it_answers_on_loopback_and_on_its_socket(postgres_server: EmbeddedPostgres) -> None:
    # A distribution adds to the number: "15.18 (Debian 15.18-0+deb12u1)".
    assert str(query(postgres_server.dsn(), "SHOW server_version")).split()[0] == postgres_server.version
    assert query(postgres_server.dsn(), "SELECT host(inet_server_addr())") == "127.0.0.1"
    assert query(postgres_server.dsn(unix_socket=True), "SELECT inet_server_addr() IS NULL") is True
    assert query(postgres_server.dsn(), "SHOW listen_addresses") == "127.0.0.1"


def test_a_session_can_take_on_a_role(postgres_server: EmbeddedPostgres) -> None:
    assert query(postgres_server.dsn(role="pg_monitor"), "SELECT current_user") == "pg_monitor"


@pytest.mark.parametrize("unix_socket", [False, True])
def test_nobody_connects_without_the_password(postgres_server: EmbeddedPostgres, unix_socket: bool) -> None:
    dsn = postgres_server.dsn(unix_socket=unix_socket)
    password = (postgres_server.folder / "password").read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn.replace(password, "guess"), connect_timeout=5)


def test_the_password_is_for_its_owner_only(postgres_server: EmbeddedPostgres) -> None:
    assert (postgres_server.folder / "password").stat().st_mode & 0o777 == 0o600
    assert (postgres_server.folder / "data").stat().st_mode & 0o077 == 0


def test_settings_of_tests_and_of_durable_servers(used_folder: Path) -> None:
    with embedded(
        used_folder, durable=True, autovacuum=True, settings={"deadlock_timeout": "123ms"}
    ) as durable:
        assert query(durable.dsn(), "SHOW fsync") == "on"
        assert query(durable.dsn(), "SHOW full_page_writes") == "on"
        assert query(durable.dsn(), "SHOW autovacuum") == "on"
        assert query(durable.dsn(), "SHOW deadlock_timeout") == "123ms"
    with embedded(used_folder) as for_tests:
        assert query(for_tests.dsn(), "SHOW fsync") == "off"
        assert query(for_tests.dsn(), "SHOW synchronous_commit") == "on"
        assert query(for_tests.dsn(), "SHOW autovacuum") == "off"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_data_and_port_survive_a_restart(used_folder: Path, mode: process.StopMode) -> None:
    with embedded(used_folder) as running:
        port, pid = running.port, running.pid
        dsn = running.create_database(f"kept_{mode}")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
        running.restart(mode)
        assert (running.port, running.pid != pid) == (port, True)
        assert query(dsn, "SELECT answer FROM t") == 42
        log = (running.folder / "postgres.log").read_text()
        assert ("not properly shut down" in log) == (mode == "immediate")


def test_dropping_a_database_ends_its_sessions(postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database("dropped")
    with psycopg.connect(dsn) as connection:
        postgres_server.drop_database("dropped")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match='"dropped" does not exist'):
        psycopg.connect(dsn)
    postgres_server.drop_database("dropped")


def test_a_stopped_server_says_so(used_folder: Path) -> None:
    stopped = embedded(used_folder)
    stopped.stop()
    with pytest.raises(EmbeddedPostgresError, match="does not run"):
        _ = stopped.pid
    with pytest.raises(EmbeddedPostgresError, match="no port yet"):
        stopped.dsn()


def test_a_second_starter_is_told_who_holds_the_folder(used_folder: Path) -> None:
    with embedded(used_folder) as first:
        with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} runs"):
            embedded(used_folder).start()
        with pytest.raises(EmbeddedPostgresError, match="runs already"):
            first.start()
        assert query(first.dsn(), "SELECT 1") == 1
    with embedded(used_folder) as second:
        assert query(second.dsn(), "SELECT 1") == 1


@pytest.mark.parametrize("owner", ["a live process that is no server", "nobody"])
@needs_proc
def test_a_stale_pid_file_is_no_obstacle(used_folder: Path, owner: str) -> None:
    if owner == "nobody":
        gone = subprocess.Popen(["/bin/true"])
        gone.wait()
        pid = gone.pid
    else:
        pid = os.getpid()
    stale = used_folder / "data" / "postmaster.pid"
    stale.write_text(f"{pid}\n{used_folder / 'data'}\n1700000000\n5432\n\n\n\nready   \n")
    with embedded(used_folder) as running:
        assert query(running.dsn(), "SELECT 1") == 1


def test_a_server_that_still_runs_on_the_data_is_named(
    used_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_FORMER_SERVER_LIMIT_S", 0.1)
    with embedded(used_folder) as running:
        (used_folder / "lock").unlink()  # as if its starter had died
        with pytest.raises(
            EmbeddedPostgresError, match=f"process {running.pid} still runs.*kill -INT {running.pid}"
        ):
            _start_without_lock_file(used_folder)
        assert query(running.dsn(), "SELECT 1") == 1


def _start_without_lock_file(folder: Path) -> None:
    (folder / "lock").touch()
    embedded(folder).start()


STARTER = """
import sys, time
from pathlib import Path
from pgweave.embedded import EmbeddedPostgres
bin_dir = Path(sys.argv[2]) if sys.argv[2] else None
server = EmbeddedPostgres(Path(sys.argv[1]), bin_dir=bin_dir)
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_its_starter(used_folder: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-c", STARTER, str(used_folder), str(chosen_bin_dir() or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert lives(pid)
        starter.send_signal(end)
        starter.wait(10)
    # At once, while the old server may still be shutting down.
    with embedded(used_folder) as successor:
        assert query(successor.dsn(), "SELECT 1") == 1
        assert successor.pid != pid
        assert not lives(pid)
        assert "not properly shut down" not in (used_folder / "postgres.log").read_text()


@needs_proc
def test_nothing_is_left_running_after_a_stop(used_folder: Path) -> None:
    def commands() -> set[str]:
        lines = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        # Of the server's processes, one that has just been forked still has the server's own command line.
        return {line for line in lines if str(used_folder) in line}

    with embedded(used_folder):
        assert len(commands()) == 2  # the server and its watchdog
    deadline = time.monotonic() + 5
    while commands() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert commands() == set()


def test_a_server_that_ignores_the_signal_is_killed(
    used_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_LIMIT_S", 0.3)
    frozen = embedded(used_folder)
    frozen.start()
    pid = frozen.pid
    os.kill(pid, signal.SIGSTOP)
    frozen.stop()
    assert not lives(pid)
    with embedded(used_folder) as again:
        assert query(again.dsn(), "SELECT 1") == 1


def test_a_setting_the_server_does_not_know_is_shown(used_folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "no_such_setting"'):
        embedded(used_folder, settings={"no_such_setting": "1"}).start()


def test_settings_that_are_the_servers_own_are_refused(used_folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="own: listen_addresses"):
        embedded(used_folder, settings={"listen_addresses": "*"})


def test_a_start_that_takes_too_long_is_given_up(used_folder: Path) -> None:
    slow = embedded(used_folder, start_limit_s=0.0)
    with pytest.raises(EmbeddedPostgresError, match="was not ready within 0 s"):
        slow.start()
    with embedded(used_folder) as next_time:
        assert query(next_time.dsn(), "SELECT 1") == 1


def test_a_port_lost_to_somebody_else_is_replaced(used_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, free_port()])
        monkeypatch.setattr(server, "free_port", lambda: next(ports))
        with embedded(used_folder) as running:
            assert running.port != taken
        with pytest.raises(EmbeddedPostgresError, match="could not bind"):
            embedded(used_folder, port=taken).start()


def test_another_versions_data_is_refused(used_folder: Path) -> None:
    version = used_folder / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 12 and the programs in"):
            embedded(used_folder).start()
    finally:
        version.write_text(right)


def test_somebody_elses_folder_is_refused_and_left_alone(reachable_path: Path) -> None:
    (reachable_path / "thesis.txt").write_text("years of work")
    before = reachable_path.stat()
    with pytest.raises(EmbeddedPostgresError, match="is not empty and holds no embedded server"):
        embedded(reachable_path).start()
    after = reachable_path.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert [path.name for path in reachable_path.iterdir()] == ["thesis.txt"]


def test_an_initdb_cut_short_is_done_again(reachable_path: Path) -> None:
    folder = reachable_path / "server"
    (folder / "data.unfinished" / "base").mkdir(parents=True)
    (folder / "lock").touch()
    with embedded(folder) as running:
        assert query(running.dsn(), "SELECT 1") == 1
    assert not (folder / "data.unfinished").exists()


def test_a_long_path_gets_a_short_socket(reachable_path: Path) -> None:
    folder = reachable_path / ("long" * 20)
    with embedded(folder) as running:
        sockets = running.socket_folder
        assert not sockets.is_relative_to(folder)
        assert query(running.dsn(unix_socket=True), "SELECT 1") == 1
    assert not sockets.exists()


def test_a_temporary_server_leaves_no_folder() -> None:
    with temporary_postgres(bin_dir=chosen_bin_dir()) as running:
        folder = running.folder
        assert folder.exists()
    assert not folder.exists()
