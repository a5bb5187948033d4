"""``payments-core serve``: with a database of its own or a given one, and how it ends."""

from __future__ import annotations

import signal
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from payments_core.entrypoints.http.app import create_app
from payments_core.infrastructure.in_memory import InMemoryPaymentStore
from tests.support.postgres import Database
from tests.support.processes import invoke, run, serving
from tests.support.stores import stored

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"
REQUEST_LIMIT_S = 20.0


def create(url: str) -> str:
    answer = httpx.post(f"{url}/payments", json={"amount_cents": 500}, timeout=REQUEST_LIMIT_S)
    assert answer.status_code == 201
    return answer.headers["location"]


# ---- with a database of its own -----------------------------------------------------------------


def test_without_settings_it_brings_a_database_and_keeps_its_data(
    reachable_path: Path, tmp_path: Path
) -> None:
    data = reachable_path / "server"
    with serving(tmp_path, ["--data", str(data)]) as first:
        assert f"data in {data}" in first.printed
        assert "embedded PostgreSQL " in first.printed
        path = create(first.url)
        window = {"capture_window_seconds": 600}
        httpx.post(f"{first.url}{path}/authorize", json=window, timeout=REQUEST_LIMIT_S)
        headers = {"Idempotency-Key": "key"}
        captured = httpx.post(
            f"{first.url}{path}/captures",
            json={"amount_cents": 500},
            headers=headers,
            timeout=REQUEST_LIMIT_S,
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
        httpx.get(server.url, timeout=1)


def test_the_settings_of_the_environment(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_HOST": "::1", "PAYMENTS_PORT": "1"}
    with serving(tmp_path, **settings) as server:
        assert server.url.startswith("http://[::1]:")
        create(server.url)


# ---- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL: String should have at least 1 character"),
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
    ("url", "says"), [(UNREACHABLE, "connection failed: "), ("nonsense", 'missing "=" after "nonsense"')]
)
def test_a_database_that_cannot_be_used(url: str, says: str) -> None:
    ended = run(["serve", "--port", "0"], {"DATABASE_URL": url})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"payments-core: DATABASE_URL cannot be used: {says}")
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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_application_that_does_not_start(shared_database: Database, workers: str) -> None:
    program = f"from payments_core.entrypoints import cli; cli._FACTORY = '{__name__}:broken_app'; cli.main()"
    settings = {"DATABASE_URL": shared_database.dsn}
    ended = run(["serve", "--port", "0", "--workers", workers], settings, program)
    assert ended.returncode == 2
    assert ended.stderr.rstrip().endswith("payments-core: the server could not start; the log above says why")


def broken_app() -> Starlette:
    """An application whose lifespan raises."""

    return create_app(InMemoryPaymentStore(lambda: 0), broken_lifespan)


def broken_lifespan() -> AbstractAsyncContextManager[None]:
    raise RuntimeError("cannot start")
