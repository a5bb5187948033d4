"""The service behind its real HTTP parser: raw bytes on a socket, and clients that hang up."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.bad_input import BODY_LIMIT
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.stores import stored

POOL = 3
LIMIT_S = 30.0
GOOD = b'{"amount_cents":500}'


@pytest.fixture(scope="module")
def server(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_POOL_MAX": str(POOL)}
    with serving(tmp_path_factory.mktemp("server"), PAYMENTS_LOG_LEVEL="warning", **settings) as running:
        yield running


@pytest.fixture
def authorized(server: Server) -> str:
    """The path of an authorized payment of 500 cents."""
    path = f"/payments/{uuid4()}"
    for method, target, body in (
        ("PUT", path, {"amount_cents": 500}),
        ("POST", f"{path}/authorize", {"capture_window_seconds": 3600}),
    ):
        answer = httpx.request(method, f"{server.url}{target}", json=body, timeout=LIMIT_S, **DIRECT)
        assert answer.is_success
    return path


def request(method: str, path: str, body: bytes, *headers: bytes) -> bytes:
    """A request as it goes over the wire; the server closes the connection after its answer."""
    length = b"Content-Length: %d" % len(body)
    fields = [b"Host: localhost", b"Connection: close", b"Content-Type: application/json", length, *headers]
    return b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *fields, b"", body])


def exchange(server: Server, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; status, header fields and body of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        connection.sendall(raw)
        answer = b""
        while received := connection.recv(65_536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in fields)
    return int(first.split()[1]), headers, body


# ---- raw requests -------------------------------------------------------------------------------


def test_spaces_around_the_key_are_no_part_of_it(server: Server, authorized: str) -> None:
    bodies = set()
    for field in (
        b"Idempotency-Key: key",
        b"idempotency-key:key",
        b"IDEMPOTENCY-KEY: \t key \t ",
        b'Idempotency-Key: "key" ',
    ):
        status, _, body = exchange(server, request("POST", f"{authorized}/captures", GOOD, field))
        assert status == 201
        bodies.add(body)
    assert len(bodies) == 1
    field = b'Idempotency-Key: " key "'
    status, _, body = exchange(server, request("POST", f"{authorized}/captures", GOOD, field))
    assert (status, json.loads(body)["type"]) == (409, "/problems/already_captured")


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"Idempotency-Key:"],
        [b"Idempotency-Key:   "],
        [b"Idempotency-Key: cl\xc3\xa9"],
        [b"Idempotency-Key: cl\xe9"],
        [b'Idempotency-Key: "abc'],
        [b"Idempotency-Key: " + b"k" * 256],
        [b"Idempotency-Key: abc", b"Idempotency-Key: abc"],
        [b"Idempotency-Key: a\x00b"],
        [b"Idempotency-Key: a\x7fb"],
    ],
    ids=lambda fields: str(b", ".join(fields)[:40]),
)
def test_bad_keys(server: Server, shared_database: Database, authorized: str, fields: list[bytes]) -> None:
    before = stored(shared_database.dsn)
    status, _, _ = exchange(server, request("POST", f"{authorized}/captures", GOOD, *fields))
    assert status == 400
    assert stored(shared_database.dsn) == before


def test_a_body_that_is_too_large(server: Server, shared_database: Database, authorized: str) -> None:
    before = stored(shared_database.dsn)
    large = GOOD + b" " * BODY_LIMIT
    key = b"Idempotency-Key: key"
    status, _, body = exchange(server, request("POST", f"{authorized}/captures", large, key))
    assert (status, json.loads(body)["type"]) == (413, "/problems/body_too_large")
    head = f"POST {authorized}/captures HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    head += b"Content-Type: application/json\r\n"
    chunks = b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(20))
    chunked = head + key + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    status, _, body = exchange(server, chunked)
    assert (status, json.loads(body)["type"]) == (413, "/problems/body_too_large")
    assert stored(shared_database.dsn) == before


def test_head_has_no_body(server: Server, authorized: str) -> None:
    for path in (authorized, "/payments", "/healthz"):
        status, headers, body = exchange(server, request("HEAD", path, b""))
        assert (status, body) == (200, b"")
        assert headers["content-type"] == "application/json"
        assert int(headers["content-length"]) > 0


def test_the_answer_does_not_name_the_server(server: Server) -> None:
    _, headers, _ = exchange(server, request("GET", "/healthz", b""))
    assert "server" not in headers


# ---- clients that hang up -----------------------------------------------------------------------

SESSIONS = """
    SELECT state, query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'payments-core' AND state <> 'idle'
"""


def await_idle(observer: psycopg.Connection) -> None:
    """Wait until no session of the service is in a statement or a transaction."""
    deadline = time.monotonic() + LIMIT_S
    while sessions := observer.execute(SESSIONS).fetchall():
        assert time.monotonic() < deadline, f"still there: {sessions}"
        time.sleep(0.02)


def test_clients_that_hang_up_leave_nothing_behind(
    server: Server, shared_database: Database, authorized: str
) -> None:
    hung_up = 4 * POOL
    payment_id = authorized.removeprefix("/payments/")
    with psycopg.connect(shared_database.dsn) as holder:
        holder.execute("SELECT FROM payments WHERE payment_id = %s FOR UPDATE", [payment_id])
        for number in range(hung_up):
            key = b"Idempotency-Key: %d" % number
            with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
                connection.sendall(request("POST", f"{authorized}/captures", GOOD, key))
        time.sleep(0.2)
    with psycopg.connect(shared_database.dsn, autocommit=True) as observer:
        await_idle(observer)
        with ThreadPoolExecutor(2 * POOL) as clients:
            reads = clients.map(
                lambda _: httpx.get(f"{server.url}{authorized}", timeout=LIMIT_S, **DIRECT),
                range(2 * POOL),
            )
            assert [answer.status_code for answer in reads] == [200] * (2 * POOL)
        await_idle(observer)
    # Each was decided or never was; at most one took the money, and its retry is told so.
    attempts = [
        each for (owner, _), each in stored(shared_database.dsn).attempts.items() if str(owner) == payment_id
    ]
    assert sum(attempt.answer.status == 201 for attempt in attempts) <= 1
    for attempt in attempts:
        field = f"Idempotency-Key: {attempt.key}".encode()
        status, headers, body = exchange(server, request("POST", f"{authorized}/captures", GOOD, field))
        assert (status, body) == (attempt.answer.status, attempt.answer.body)
        assert headers["idempotent-replayed"] == "true"


def test_a_client_that_hangs_up_within_its_body(
    server: Server, shared_database: Database, authorized: str
) -> None:
    before = stored(shared_database.dsn)
    whole = request("POST", f"{authorized}/captures", GOOD, b"Idempotency-Key: key")
    for cut in (10, len(whole) - len(GOOD), len(whole) - 1):
        with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
            connection.sendall(whole[:cut])
    assert httpx.get(f"{server.url}/readyz", timeout=LIMIT_S, **DIRECT).status_code == 200
    assert stored(shared_database.dsn) == before
    assert "Traceback" not in server.printed
