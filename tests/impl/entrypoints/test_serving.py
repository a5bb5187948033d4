"""``payments-core serve``: with a database of its own or a given one, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from starlette.applications import Starlette

from payments_core.entrypoints import tokens
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.serving import ServingError, bound, serve
from payments_core.entrypoints.settings import Settings
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.processes.proc import workers
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import environment, invoke, run, serving
from tests.support.stores import stored

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"
REQUEST_LIMIT_S = 20.0
SLOW_START_S = 3.0


def create(url: str) -> str:
    answer = httpx.post(f"{url}/payments", json={"amount_cents": 500}, timeout=REQUEST_LIMIT_S, **DIRECT)
    assert answer.status_code == 201
    return answer.headers["location"]


def looks(printed: str) -> dict[str, str]:
    """The two commands that are printed to look at the database, each with what it shows."""
    psql, audit = re.findall(r"^  (.*(?:psql| audit) .*)$", printed, re.MULTILINE)
    return {f"{psql} -c 'TABLE payments'": "payment_id", audit: "holds"}


def assert_database_can_be_looked_at(printed: str, variables: dict[str, str]) -> None:
    for look, shows in looks(printed).items():
        done = subprocess.run(["sh", "-c", look], capture_output=True, text=True, check=False, env=variables)
        assert (done.returncode, shows in done.stdout) == (0, True), done.stderr


# ---- with a database of its own -----------------------------------------------------------------


def test_without_settings_it_brings_a_database_and_keeps_its_data(
    reachable_path: Path, tmp_path: Path
) -> None:
    data = reachable_path / "server"
    with serving(tmp_path, ["--data", str(data)]) as first:
        assert f"data in {data}" in first.printed
        assert "embedded PostgreSQL " in first.printed
        assert_database_can_be_looked_at(first.printed, environment())
        path = create(first.url)
        window = {"capture_window_seconds": 600}
        httpx.post(f"{first.url}{path}/authorize", json=window, timeout=REQUEST_LIMIT_S, **DIRECT)
        headers = {"Idempotency-Key": "key"}
        captured = httpx.post(
            f"{first.url}{path}/captures",
            json={"amount_cents": 500},
            headers=headers,
            timeout=REQUEST_LIMIT_S,
            **DIRECT,
        )
        assert captured.status_code == 201
        second_starter = run(["serve", "--port", "0", "--data", str(data)])
        assert second_starter.returncode == 2
        assert f"process {first.process.pid} runs" in second_starter.stderr
        assert first.stop() == 0
    assert not (data / "data" / "postmaster.pid").exists()
    with serving(tmp_path, ["--data", str(data)]) as second:
        again = httpx.post(
            f"{second.url}{path}/captures",
            json={"amount_cents": 500},
            headers=headers,
            timeout=REQUEST_LIMIT_S,
            **DIRECT,
        )
        assert (again.status_code, again.content) == (201, captured.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert second.stop(signal.SIGINT) == 0
    assert not (data / "data" / "postmaster.pid").exists()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    ended = run(["serve", "--port", "0", "--data", str(file / "server")])
    assert ended.returncode == 2
    assert ended.stderr.startswith("payments-core: ")
    assert "Traceback" not in ended.stderr


# ---- with a given database ----------------------------------------------------------------------


def test_it_serves_the_database_that_it_is_given(shared_database: Database, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_URL=shared_database.app_dsn) as server:
        assert "embedded" not in server.printed
        path = create(server.url)
        assert path in {f"/payments/{each}" for each in stored(shared_database.dsn).payments}
        assert server.url.startswith("http://127.0.0.1:")
        assert server.stop() == 0
        assert "Traceback" not in server.printed


def test_several_workers(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_LOG_LEVEL": "warning"}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        # One connection a request, so that both workers get some.
        paths = {create(server.url) for _ in range(20)}
        assert paths <= {f"/payments/{each}" for each in stored(shared_database.dsn).payments}
        assert server.stop() == 0
        assert "Traceback" not in server.printed
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url, timeout=1, **DIRECT)


def test_workers_end_with_their_parent_however_it_ends(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_DRAIN_S": "0.1"}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        deadline = time.monotonic() + REQUEST_LIMIT_S
        while _takes_connections(server.port):
            assert time.monotonic() < deadline, "the workers serve on"
            time.sleep(0.05)
        assert "the parent process has ended" in server.printed


def test_a_worker_that_dies_as_it_is_asked_whether_it_lives_is_replaced_at_once(
    shared_database: Database, tmp_path: Path
) -> None:
    for_long = "from payments_core.entrypoints import serving\nserving._SILENT_WORKER_LIMIT_S = 3600\n"
    (tmp_path / "sitecustomize.py").write_text(for_long)
    settings = {"DATABASE_URL": shared_database.app_dsn, "PYTHONPATH": str(tmp_path)}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        victim = min(known := workers(server.process.pid))
        os.kill(victim, signal.SIGSTOP)
        time.sleep(2)  # it is asked twice a second
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + REQUEST_LIMIT_S
        while workers(server.process.pid) <= known:
            assert time.monotonic() < deadline, "it is still waited for"
            time.sleep(0.05)


def test_a_new_worker_accepts_what_the_others_accept(shared_database: Database, tmp_path: Path) -> None:
    """The file of tokens counts as it was at the start, until the next one."""
    token, digest = tokens.make()
    file = tmp_path / "tokens"
    file.write_text(f"read:{digest} # the shop\n")
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_TOKENS_FILE": str(file)}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        known = workers(server.process.pid)
        file.unlink()
        for victim in known:
            os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + REQUEST_LIMIT_S
        answer = None
        while answer is None or workers(server.process.pid) & known:
            assert time.monotonic() < deadline, "no new worker serves"
            time.sleep(0.05)
            with contextlib.suppress(httpx.TransportError):
                fields = {"Authorization": f"Bearer {token}"}
                answer = httpx.get(f"{server.url}/payments", headers=fields, timeout=5, **DIRECT)
        assert answer.status_code == 200
        assert httpx.get(f"{server.url}/payments", timeout=5, **DIRECT).status_code == 401
        assert "PAYMENTS_TOKENS_FILE" not in server.printed


def test_a_terminal_that_is_closed_ends_it_in_order(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_DRAIN_S": "0.1"}
    with handled(signal.SIGHUP, signal.SIG_DFL), serving(tmp_path, **settings) as server:
        assert server.stop(signal.SIGHUP) == 0
        assert "draining" in server.printed


def test_who_ignores_that_the_terminal_is_closed_goes_on(shared_database: Database, tmp_path: Path) -> None:
    """As with nohup."""
    with (
        handled(signal.SIGHUP, signal.SIG_IGN),
        serving(tmp_path, DATABASE_URL=shared_database.app_dsn) as server,
    ):
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        create(server.url)


@contextlib.contextmanager
def handled(number: signal.Signals, how: signal.Handlers) -> Iterator[None]:
    """Whoever is started meanwhile begins so: with a terminal, or behind nohup."""
    before = signal.signal(number, how)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_second_sigterm_cuts_the_draining_of_workers_short(
    shared_database: Database, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_DRAIN_S": "3600"}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        server.process.terminate()
        deadline = time.monotonic() + REQUEST_LIMIT_S
        while server.printed.count('"draining"') < 2:
            assert time.monotonic() < deadline, "SIGTERM has not come to both workers"
            time.sleep(0.05)
        assert server.stop() == 0


def test_nobody_listens_once_the_workers_do_not(database: Database, tmp_path: Path) -> None:
    """Who connected then would wait until the last worker ends, and get no answer."""
    settings = {"DATABASE_URL": database.app_dsn, "PAYMENTS_LOCK_TIMEOUT_MS": "9000"}
    with serving(tmp_path, ["--workers", "2"], **settings) as server, psycopg.connect(database.dsn) as holder:
        path = create(server.url)
        holder.execute("LOCK TABLE payments")
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while not holder.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                time.sleep(0.05)
            server.process.terminate()
            while _takes_connections(server.port):
                time.sleep(0.05)
            holder.rollback()
            assert client.recv(1024).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(REQUEST_LIMIT_S) == 0


def _takes_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long
def test_a_worker_that_takes_long_to_start_is_waited_for(shared_database: Database, tmp_path: Path) -> None:
    """The machine may be busy: what is imported in a second elsewhere takes ten there."""
    slow = "import sys, time\nif '--multiprocessing-fork' in sys.argv: time.sleep(8)\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    settings = {"DATABASE_URL": shared_database.app_dsn, "PYTHONPATH": str(tmp_path)}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        create(server.url)
        assert "died" not in server.printed


def test_the_settings_of_the_environment(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_HOST": "::1", "PAYMENTS_PORT": "1"}
    with serving(tmp_path, **settings) as server:
        assert server.url.startswith("http://[::1]:")
        create(server.url)


@pytest.mark.parametrize("form", ["{url}", "{url}?password={password}", "{words} password={password}"])
def test_the_given_database_can_be_looked_at_and_no_password_is_printed(
    shared_database: Database, tmp_path: Path, form: str
) -> None:
    parts = urlsplit(shared_database.dsn)  # the service's role may not audit
    assert parts.password
    url = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    words = " ".join(f"{name}={value}" for name, value in conninfo_to_dict(url).items())
    given = {"DATABASE_URL": form.format(url=url, words=words, password=parts.password)}
    if "password=" not in form:
        given["PGPASSWORD"] = parts.password
    with serving(tmp_path, **given) as server:
        assert parts.password not in server.printed
        assert f"port={parts.port}" in server.printed.partition("; to look at it:")[0]
        assert_database_can_be_looked_at(server.printed, environment(**given))


def test_every_address_of_a_name_is_served(shared_database: Database, tmp_path: Path) -> None:
    with serving(tmp_path, ["--host", "localhost"], DATABASE_URL=shared_database.app_dsn) as server:
        urls = re.findall(r"^serving on (\S+)$", server.printed, re.MULTILINE)
        assert len(urls) == len({address[0] for *_, address in socket.getaddrinfo("localhost", 0)})
        assert {url.rpartition(":")[2] for url in urls} == {str(server.port)}
        for url in urls:
            create(url)


# ---- when it says so ----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_connects_once_it_says_so_is_served(shared_database: Database, workers: str) -> None:
    command = [sys.executable, "-c", program("slow_app"), "serve", "--port", "0", "--workers", workers]
    settings = environment(PYTHONPATH=str(Path(__file__).parents[3]), DATABASE_URL=shared_database.dsn)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=settings
    ) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in map(bytes.decode, process.stdout) if line.startswith("serving on "))
            address = said.strip().rpartition("//")[2]
            with closing(HTTPConnection(address, timeout=0.9 * SLOW_START_S)) as connection:
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == 200
        finally:
            process.terminate()
            said_more = process.communicate(timeout=REQUEST_LIMIT_S)[0]
    assert said_more == b""


def slow_app() -> Starlette:
    """An application that takes its time to start."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await asyncio.sleep(SLOW_START_S)
        yield

    return create_app(InMemoryPaymentStore(lambda: 0), lifespan)


# ---- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL: String should have at least 1 character"),
        ({"DATABASE_URL": " "}, "DATABASE_URL: no connection string of PostgreSQL"),
        ({"PAYMENTS_PORT": "abc"}, "PAYMENTS_PORT: Input should be a valid integer"),
        ({"PAYMENTS_PORT": "65536"}, "PAYMENTS_PORT: Input should be less than or equal to 65535"),
        ({"PAYMENTS_POOL_MAX": "0"}, "PAYMENTS_POOL_MAX: Input should be greater than or equal to 1"),
        ({"PAYMENTS_POOL_TIMEOUT_S": "inf"}, "PAYMENTS_POOL_TIMEOUT_S: Input should be a finite number"),
        ({"PAYMENTS_DATABASE_ROLE": "a -c b"}, "PAYMENTS_DATABASE_ROLE: String should match pattern"),
        ({"PAYMENTS_ISOLATION": "none"}, "PAYMENTS_ISOLATION: Input should be 'read committed' or"),
        ({"PAYMENTS_ALLOW_UNAUTHENTICATED": "perhaps"}, "PAYMENTS_ALLOW_UNAUTHENTICATED: Input should be a"),
        ({"PAYMENTS_MAX_REQUESTS": "0"}, "PAYMENTS_MAX_REQUESTS: Input should be greater than or equal"),
        ({"PAYMENTS_LOG_LEVEL": "loud"}, "PAYMENTS_LOG_LEVEL: String should match pattern"),
    ],
)
def test_settings_that_it_refuses(variables: dict[str, str], says: str) -> None:
    ended = invoke(["serve", "--port", "0"], variables)
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"payments-core: {says}")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--port", "65536"], ["--port", "-1"], ["--workers", "0"], ["--nothing"]]
)
def test_options_that_it_refuses(arguments: list[str]) -> None:
    ended = invoke(["serve", *arguments], {"DATABASE_URL": UNREACHABLE})
    assert ended.exit_code == 2
    assert arguments[0].strip("-") in ended.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [(UNREACHABLE, " cannot be used: connection failed: "), ("nonsense", ": no connection string")],
)
def test_a_database_that_cannot_be_used(url: str, says: str) -> None:
    ended = run(["serve", "--port", "0"], {"DATABASE_URL": url})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"payments-core: DATABASE_URL{says}")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_role_that_cannot_be_taken_on(shared_database: Database) -> None:
    settings = {"DATABASE_URL": shared_database.dsn, "PAYMENTS_DATABASE_ROLE": "no_such_role"}
    ended = run(["serve", "--port", "0"], settings)
    assert ended.returncode == 2
    assert 'role "no_such_role" does not exist' in ended.stderr
    assert "GRANT no_such_role TO <login>" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_without_the_schema(empty_database: Database) -> None:
    ended = run(["serve", "--port", "0"], {"DATABASE_URL": empty_database.dsn})
    assert ended.returncode == 2
    assert "the database lacks 0001-payments" in ended.stderr
    assert "payments-core migrate" in ended.stderr


def test_a_port_that_is_taken(shared_database: Database) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(["serve", "--port", str(port)], {"DATABASE_URL": shared_database.dsn})
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
    assert "--port" in ended.stderr


def test_a_host_that_is_none(shared_database: Database) -> None:
    ended = run(["serve", "--port", "0", "--host", "nowhere.invalid"], {"DATABASE_URL": shared_database.dsn})
    assert ended.returncode == 2
    assert "cannot listen on nowhere.invalid:0" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_host_whose_name_cannot_be_encoded(shared_database: Database) -> None:
    ended = invoke(["serve", "--port", "0", "--host", "a..b"], {"DATABASE_URL": shared_database.dsn})
    assert ended.exit_code == 2
    assert "cannot listen on a..b:0" in ended.stderr


def test_an_address_that_is_not_of_this_machine() -> None:
    ended = invoke(["serve", "--port", "0", "--host", "192.0.2.1"], {"DATABASE_URL": UNREACHABLE})
    assert ended.exit_code == 2
    assert "cannot listen on 192.0.2.1:0: this machine has no such address" in ended.stderr


@pytest.mark.parametrize("host", ["", "0", "0.0.0.0", "::"])
@pytest.mark.parametrize("demo", [[], ["--demo"]], ids=["", "demo"])
def test_every_interface_without_tokens(host: str, demo: list[str]) -> None:
    settings = {} if demo else {"DATABASE_URL": UNREACHABLE}
    ended = invoke(["serve", "--port", "0", *demo], settings | {"PAYMENTS_HOST": host})
    assert ended.exit_code == 2
    assert "serves loopback addresses only" in ended.stderr


def test_a_port_at_which_somebody_else_begins_to_listen_meanwhile() -> None:
    with bound("127.0.0.1", 0) as ours, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        theirs.bind(ours[0].getsockname())
        theirs.listen()
        with pytest.raises(ServingError, match="Address already in use"):
            serve(ours, 1, Settings())


def test_of_several_addresses_those_that_there_are_are_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        addresses = ["127.0.0.1", "192.0.2.1", "127.0.0.2", "127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with bound("several.test", 0) as listeners:
        names = [each.getsockname() for each in listeners]
        assert [address for address, _ in names] == ["127.0.0.1", "127.0.0.2"]
        assert len({port for _, port in names}) == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match="choose another --port"), bound("several.test", port):
            pass


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_application_that_does_not_start(shared_database: Database, workers: str) -> None:
    settings = {"DATABASE_URL": shared_database.dsn}
    ended = run(["serve", "--port", "0", "--workers", workers], settings, program("broken_app"))
    assert ended.returncode == 2
    assert ended.stderr.rstrip().endswith("payments-core: the server could not start; the log above says why")


def program(factory: str) -> str:
    """``payments-core`` with another application, which is made by a function of this module."""
    return f"""if __name__ == "__main__":
        from payments_core.entrypoints import cli, serving
        serving.FACTORY = "{__name__}:{factory}"
        cli.main()"""


def broken_app() -> Starlette:
    """An application whose lifespan raises."""

    return create_app(InMemoryPaymentStore(lambda: 0), broken_lifespan)


def broken_lifespan() -> AbstractAsyncContextManager[None]:
    raise RuntimeError("cannot start")
