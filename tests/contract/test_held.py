"""What one client holds, others can do without: places, connections, files and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.guarded import sample_of
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.raw_http import Connection, capture, new_path, request

PLACES = 4
LIMIT_S = 20.0
ESTABLISHED = "01"
CONTRACT = request(b"GET", b"/openapi.json")
HALF = request(b"POST", b"/payments", [b"Content-Type: application/json", b"Content-Length: 50"]) + b"{"


@pytest.fixture(scope="module")
def small(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a few places."""
    variables = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_MAX_REQUESTS": str(PLACES)}
    with serving(tmp_path_factory.mktemp("server"), **variables) as server:
        yield server


def authorized(server: Server) -> str:
    path = new_path()
    for method, target, body in (
        ("PUT", path, {"amount_cents": 500}),
        ("POST", f"{path}/authorize", {"capture_window_seconds": 600}),
    ):
        assert httpx.request(method, f"{server.url}{target}", json=body, timeout=LIMIT_S, **DIRECT).is_success
    return path


@contextmanager
def held(server: Server, count: int, sent: bytes) -> Iterator[list[Connection]]:
    """So many connections, of which none reads what is answered."""
    connections = []
    try:
        for _ in range(count):
            connections.append(Connection(server.port, receive_buffer=4_096))
            if sent:
                connections[-1].send(sent)
        time.sleep(0.5)
        yield connections
    finally:
        for each in connections:
            each.close()


def captures(server: Server, path: str) -> int:
    """The status of a capture on a new connection; 0 if it is not answered in time."""
    connection = Connection(server.port)
    connection.send(capture(path))
    found = status(connection)
    connection.close()
    return found


def status(connection: Connection) -> int:
    """The first status that is answered; 0 if there is none in time."""
    end = time.monotonic() + LIMIT_S
    while not connection.statuses() and not connection.is_closed and time.monotonic() < end:
        connection.read(0.05)
    return next(iter(connection.statuses()), 0)


HELD = {
    "answers": CONTRACT * 16,
    "bodies": HALF,
    "heads": HALF[:30],
    "bodies that wait to be asked for": HALF[:-1].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
}


@pytest.mark.parametrize("sent", HELD.values(), ids=HELD)
def test_a_place_is_for_work_and_not_for_who_is_slow(small: Server, sent: bytes) -> None:
    path = authorized(small)
    with held(small, 3 * PLACES, sent):
        assert captures(small, path) == 201


def test_an_answer_that_nobody_reads_is_not_made_again_and_again(small: Server) -> None:
    one = len(httpx.get(f"{small.url}/openapi.json", timeout=LIMIT_S, **DIRECT).content)
    with held(small, 1, CONTRACT * 60) as (connection,):
        assert unsent_bytes(connection) < 2 * one


def unsent_bytes(connection: Connection) -> int:
    """What the system holds for a client that does not read."""
    port = f":{connection.port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, peer, state, queues, *_ = line.split()
        if peer.endswith(port) and state == ESTABLISHED:
            return int(queues.partition(":")[0], 16)
    raise AssertionError("the server has closed it")


def test_more_idle_connections_than_files(shared_database: Database, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": shared_database.app_dsn, "FILES": "128"}
    with serving(tmp_path, module="tests.support.telling", **variables) as server:
        path = authorized(server)
        with held(server, 200, b"G") as connections:
            assert captures(server, path) == 201
            # Those that have waited for longest gave way, and no more of them than had to.
            is_open = [not each.await_hang_up(0.001) for each in connections]
            assert sum(is_open) > 40
            assert is_open == sorted(is_open)
        assert '"event":"too many connections"' in server.printed
        page = httpx.get(f"{server.url}/metrics", timeout=LIMIT_S, **DIRECT).text
        closed = sample_of(page, 'payments_http_requests_rejected_total{reason="connections"}')
        assert closed is not None
        assert closed >= 200 - sum(is_open)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not keep who says nothing")
def test_who_says_nothing_takes_no_room(shared_database: Database, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": shared_database.app_dsn, "FILES": "128"}
    with serving(tmp_path, module="tests.support.telling", **variables) as server:
        path = authorized(server)
        with held(server, 200, b"") as connections:
            assert captures(server, path) == 201
            assert [each for each in connections if each.await_hang_up(0.001)] == []
            # Who speaks at last is heard.
            connections[0].send(request(b"GET", b"/healthz"))
            assert status(connections[0]) == 200
        assert "too many connections" not in server.printed


def test_too_few_files_to_serve_at_all(shared_database: Database, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": shared_database.app_dsn, "FILES": "60"}
    with (
        pytest.raises(
            AssertionError, match=r"exit code 2(.|\n)*60 files open here, and needs 84: ulimit -n 84"
        ),
        serving(tmp_path, module="tests.support.telling", **variables),
    ):
        pass
