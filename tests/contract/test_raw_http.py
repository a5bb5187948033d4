"""Raw bytes on the sockets of the running server: it answers or closes, stays up, and loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.guarded import sample_of
from tests.support.loopback import DIRECT
from tests.support.mutants import Edit, mutated_copy
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.raw_http import (
    AS_JSON,
    CHUNKED,
    GOOD,
    Connection,
    Sent,
    capture,
    conversations,
    new_path,
    request,
    smuggling,
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10")) * 10
LIMIT_S = 60.0
QUIET_S = 0.03
STATED_LIMIT_S = 30 + 10
"""The longest that the server lets a request, or an answer that is not read, take."""
KEPT = 40
"""Connections that are kept open at once, to see the server close them."""
HASTY = "_HEAD_LIMIT_S=1 _BODY_LIMIT_S=2 _UNREAD_LIMIT_S=1 _SILENT_LIMIT_S=1"
"""Time limits of the protocol that can be waited for."""
ROOT = Path(__file__).parents[2]
SETTINGS = {"PAYMENTS_LOG_LEVEL": "error", "PAYMENTS_POOL_MIN": "4", "PAYMENTS_POOL_MAX": "4"}
"""A pool that does not grow, so that open files can be counted."""
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'payments-core' AND state <> 'idle'
"""


class Watched:
    """A server, and how it is afterwards compared with before.

    Attributes:
        server: the server.
        statuses: how often each status was answered.
        tried: how many conversations there were.
    """

    def __init__(self, server: Server, database: Database) -> None:
        self.server = server
        self.statuses: Counter[int] = Counter()
        self.tried = 0
        self._database = database
        self._kept: list[Connection] = []
        self._opened: list[Connection] = []
        self._warm_up()
        self._tasks = self._stable_tasks()
        self._files = self._open_files()

    def connect(self, receive_buffer: int | None = None) -> Connection:
        """A connection, which is closed with the test."""
        connection = Connection(self.server.port, receive_buffer)
        self._opened.append(connection)
        return connection

    def close(self) -> None:
        """Close every connection that is still open."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._kept.clear()

    def converse(self, sent: Sent) -> Connection:
        """Send it, and check what has come of it so far."""
        connection = self.connect()
        for part in sent.parts:
            if not connection.send(part):
                break
            connection.read(0.001)
        self.tried += 1
        if sent.reset:
            self._opened.remove(connection)
            connection.reset()
            return connection
        connection.read(QUIET_S)
        statuses = connection.statuses()
        self.statuses.update(statuses)
        assert [status for status in statuses if status >= 500 and status != 501] == [], connection.received[
            -500:
        ]
        if not connection.is_closed:
            self._kept.append(connection)
        if connection.is_closed or len(self._kept) > KEPT:
            oldest = connection if connection.is_closed else self._kept.pop(0)
            self._opened.remove(oldest)
            oldest.close()
        return connection

    def settle(self) -> None:
        """See that everything is as before: the server closes what is open, holds nothing, and captures."""
        for connection in self._kept:
            assert connection.await_end(STATED_LIMIT_S), (
                f"still open after {bytes(connection.received[-200:])!r}"
            )
        self.close()
        self.captures()
        assert self.server.process.poll() is None
        assert errors_in(self.server.printed) == []
        _until(lambda: self._in_flight() == 0, "requests in flight")
        _until(lambda: self._sessions() == 0, "sessions in a transaction")
        _until(lambda: self._stable_tasks() <= self._tasks, "more tasks than before")
        _until(lambda: self._open_files() <= self._files, "more open files than before")

    def captures(self) -> None:
        """An ordinary capture, as a check that it still can."""
        path = new_path()
        with httpx.Client(base_url=self.server.url, timeout=LIMIT_S, **DIRECT) as http:
            assert http.put(path, json={"amount_cents": 500}).status_code == 201
            answer = http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
            assert answer.status_code == 200
            headers = {"Idempotency-Key": "after"}
            answer = http.post(f"{path}/captures", json={"amount_cents": 500}, headers=headers)
            assert answer.status_code == 201

    def authorized(self) -> str:
        """The path of a payment that may be captured."""
        path = new_path()
        httpx.put(f"{self.server.url}{path}", json={"amount_cents": 500}, timeout=LIMIT_S, **DIRECT)
        body = {"capture_window_seconds": 600}
        assert (
            httpx.post(f"{self.server.url}{path}/authorize", json=body, timeout=LIMIT_S, **DIRECT).status_code
            == 200
        )
        return path

    def state(self, path: str) -> str:
        """Where a payment stands."""
        found: str = httpx.get(f"{self.server.url}{path}", timeout=LIMIT_S, **DIRECT).json()["state"]
        return found

    def _warm_up(self) -> None:
        for _ in range(3):
            self.captures()

    def _in_flight(self) -> float:
        page = httpx.get(f"{self.server.url}/metrics", timeout=LIMIT_S, **DIRECT).text
        # The metrics' own request is in flight as well.
        found = sample_of(page, "payments_http_requests_in_flight")
        assert found is not None
        return found - 1

    def _sessions(self) -> int:
        with psycopg.connect(self._database.dsn) as connection:
            row = connection.execute(SESSIONS).fetchone()
        assert row is not None
        count: int = row[0]
        return count

    def _stable_tasks(self) -> int:
        told = len(re.findall(r"^tasks \d+:", self.server.printed, re.MULTILINE))
        self.server.process.send_signal(signal.SIGUSR1)
        found: list[str] = []
        end = time.monotonic() + LIMIT_S
        while len(found) <= told:
            assert time.monotonic() < end, "it does not tell its tasks"
            time.sleep(0.01)
            found = re.findall(r"^tasks (\d+):", self.server.printed, re.MULTILINE)
        return int(found[-1])

    def _open_files(self) -> int:
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))


def errors_in(printed: str) -> list[str]:
    """The last line of each traceback that was logged, and what else was logged as an error."""
    found = []
    for line in printed.splitlines():
        if line.startswith("{"):
            logged = json.loads(line)
            last = logged.get("exception", "").strip().rpartition("\n")[2]
            found.append(f"{logged['event']}: {last}")
    return found


def _until(holds: object, what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def watched(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The server as it is shipped; afterwards it is as before."""
    variables = {"DATABASE_URL": shared_database.app_dsn, **SETTINGS}
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, module="tests.support.telling", **variables) as server:
        opened = Watched(server, shared_database)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def hasty(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The same with time limits of a second or two, so that each can be waited for."""
    variables = {"DATABASE_URL": shared_database.app_dsn, **SETTINGS}
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, module="tests.support.telling", PROTOCOL_LIMITS=HASTY, **variables) as server:
        opened = Watched(server, shared_database)
        yield opened
        opened.close()


# ---- whatever is sent ---------------------------------------------------------------------------


def test_whatever_is_sent_it_answers_or_closes_and_serves_the_next(watched: Watched) -> None:
    before = watched.tried

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(sent=conversations())
    def converse(sent: Sent) -> None:
        watched.converse(sent)
        if watched.tried % 100 == 0:
            watched.captures()

    converse()
    watched.settle()
    tried = watched.tried - before
    assert tried >= EXAMPLES
    # What came back shows that all layers were reached: the parser, the limits, the application.
    assert 400 in watched.statuses
    assert {200, 201} & set(watched.statuses)
    record_tried(tried, watched.statuses)


def record_tried(tried: int, statuses: Counter[int]) -> None:
    """Tell how much was tried, on standard output; `make fuzz` shows it."""
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    sys.stdout.write(f"\nraw HTTP: {tried:,} connections, no failure; answers: {answers}\n")


# ---- where one request ends and the next begins -------------------------------------------------

SHAPES = [name for name, _ in smuggling(b"")]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_request_hides_within_another(watched: Watched, shape: str) -> None:
    victim = watched.authorized()
    parts = dict(smuggling(capture(victim)))[shape]
    connection = watched.connect()
    for part in parts:
        connection.send(part)
        connection.read(0.1)
    connection.read(0.3)
    statuses = [status for status in connection.statuses() if status != 100]
    assert statuses in ([], [400], [422], [501]), bytes(connection.received)
    assert connection.await_end(LIMIT_S)
    assert watched.state(victim) == "authorized"


OFFERS = {
    "h2c": [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
    "websocket": [b"Connection: keep-alive, upgrade", b"Upgrade: websocket"],
    "anything": [b"Upgrade: anything/1", b"Upgrade: more", b"Connection: Upgrade"],
}


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("pause_s", [0.0, 0.2])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_the_body_after_an_offer_of_another_protocol_is_read(
    watched: Watched, offer: str, pause_s: float, framing: str
) -> None:
    path = watched.authorized()
    in_chunks = (
        b"Transfer-Encoding: chunked",
        b"5\r\n" + GOOD[:5] + b"\r\nf\r\n" + GOOD[5:] + b"\r\n0\r\n\r\n",
    )
    framed, body = in_chunks if framing == "chunks" else (b"Content-Length: %d" % len(GOOD), GOOD)
    fields = [*OFFERS[offer], b"Idempotency-Key: key", b"Content-Type: application/json", framed]
    connection = watched.connect()
    connection.send(request(b"POST", path.encode() + b"/captures", fields))
    time.sleep(pause_s)
    connection.send(body[:7])
    time.sleep(pause_s)
    connection.send(body[7:] + request(b"GET", b"/healthz", [*OFFERS[offer], b"Connection: close"]))
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [201, 200]
    assert watched.state(path) == "captured"


# ---- what a request is for -----------------------------------------------------------------------

ANOTHER_PATH = {
    "an encoded slash": b"/payments/%(id)b%%2Fcaptures",
    "an encoded slash, in lower case": b"/payments/%(id)b%%2fcaptures",
    "an encoded slash before": b"/payments%%2F%(id)b/captures",
    "an encoded letter": b"/payments/%(id)b/%%63aptures",
    "encoded twice": b"/payments/%(id)b%%252Fcaptures",
    "an encoded line feed": b"/payments/%(id)b/captures%%0a",
    "an encoded NUL": b"/payments/%(id)b/captures%%00",
    "an overlong slash": b"/payments/%(id)b%%c0%%afcaptures",
    "half an encoding": b"/payments/%(id)b/captures%%2",
    "encoded dots": b"/payments/%(id)b/x/%%2e%%2e/captures",
    "dots": b"/payments/%(id)b/x/../captures",
    "a dot": b"/payments/%(id)b/./captures",
    "two slashes": b"/payments//%(id)b/captures",
    "two slashes at first": b"//payments/%(id)b/captures",
    "a slash at the end": b"/payments/%(id)b/captures/",
    "parameters": b"/payments/%(id)b/captures;a=b",
    "parameters within": b"/payments/%(id)b;a=b/captures",
    "a backslash": b"/payments/%(id)b\\captures",
    "a URL with an encoded slash": b"http://localhost/payments/%(id)b%%2Fcaptures",
}


@pytest.mark.parametrize("name", ANOTHER_PATH)
def test_a_path_is_taken_as_it_is_sent(watched: Watched, name: str) -> None:
    """A resource has one spelling: who lets requests through by their path sees what is served."""
    path = watched.authorized()
    target = ANOTHER_PATH[name] % {b"id": path.removeprefix("/payments/").encode()}
    raw = request(b"POST", target, [b"Idempotency-Key: key"], GOOD)
    statuses = answers_to(watched, raw)
    assert statuses[0] in {400, 404, 405}
    assert statuses[1:] == [200]
    assert watched.state(path) == "authorized"


def test_a_path_never_becomes_a_field(watched: Watched) -> None:
    watched.captures()
    watched.captures()
    assert answers_to(watched, request(b"GET", b"/payments%0a?limit=1")) == [404, 200]


def answers_to(watched: Watched, raw: bytes) -> list[int]:
    """The statuses that are answered to it, and to an ordinary request that follows at once."""
    connection = watched.connect()
    connection.send(raw + request(b"GET", b"/healthz", [b"Connection: close"]))
    assert connection.await_end(LIMIT_S)
    return connection.statuses()


URLS = {
    "its own": (b"http://localhost%b/captures", b"Host: localhost", [201, 200]),
    "its own, behind a proxy with TLS": (b"https://localhost%b/captures", b"Host: localhost", [201, 200]),
    "in capitals": (b"HTTP://LOCALHOST%b/captures", b"Host: localhost", [201, 200]),
    "another's": (b"http://elsewhere%b/captures", b"Host: localhost", [421, 200]),
    "its own, and another Host": (b"http://localhost%b/captures", b"Host: elsewhere", [201, 200]),
    "its own, without a Host": (b"http://localhost%b/captures", b"X: x", [400, 200]),
    "with a name before": (b"http://localhost@elsewhere%b/captures", b"Host: localhost", [400, 200]),
    "with a name of its own before": (b"http://user@localhost%b/captures", b"Host: localhost", [400, 200]),
    "a port that is none": (b"http://localhost:x%b/captures", b"Host: localhost", [400, 200]),
    "an encoded host": (b"http://%%6cocalhost%b/captures", b"Host: localhost", [400, 200]),
    "half an address": (b"http://[::1%b/captures", b"Host: localhost", [400, 200]),
    "no host": (b"http://%b/captures", b"Host: localhost", [400]),
    "another scheme": (b"ftp://localhost%b/captures", b"Host: localhost", [400]),
    "a fragment": (b"http://localhost%b/captures#x", b"Host: localhost", [400]),
    "a path with a fragment": (b"%b/captures#x", b"Host: localhost", [400]),
}


@pytest.mark.parametrize("name", URLS)
def test_the_host_in_a_url_is_the_one_that_counts(watched: Watched, name: str) -> None:
    path = watched.authorized()
    url, host, expected = URLS[name]
    raw = request(b"POST", url % path.encode(), [b"Idempotency-Key: key"], GOOD)
    assert answers_to(watched, raw.replace(b"Host: localhost", host, 1)) == expected
    assert watched.state(path) == ("captured" if expected[0] == 201 else "authorized")
    assert errors_in(watched.server.printed) == []


def test_the_host_in_a_url_counts_where_there_is_no_other(watched: Watched) -> None:
    raw = b"GET http://elsewhere/payments HTTP/1.0\r\n\r\n"
    assert answers_to(watched, raw) == [421]


@pytest.mark.parametrize("url", [b"http://localhost", b"http://localhost?x=1", b"http://[::1]:80/"])
def test_a_url_without_a_path_is_the_first_page(watched: Watched, url: bytes) -> None:
    assert answers_to(watched, request(b"GET", url)) == [200, 200]


def test_http_1_0_has_no_chunks_and_is_not_told_to_go_on(watched: Watched) -> None:
    path = watched.authorized()
    fields = [b"Idempotency-Key: key", AS_JSON, CHUNKED, b"Connection: keep-alive"]
    raw = request(b"POST", path.encode() + b"/captures", fields) + b"14\r\n" + GOOD + b"\r\n0\r\n\r\n"
    assert answers_to(watched, raw.replace(b"HTTP/1.1", b"HTTP/1.0", 1)) == [400]
    assert watched.state(path) == "authorized"
    asks = request(b"POST", path.encode() + b"/captures", [fields[0], b"Expect: 100-continue"], GOOD)
    assert answers_to(watched, asks.replace(b"HTTP/1.1", b"HTTP/1.0", 1)) == [201]


def test_trailers_are_no_fields(watched: Watched) -> None:
    path = watched.authorized()
    fields = [b"Content-Type: application/json", b"Transfer-Encoding: chunked"]
    chunks = b"14\r\n" + GOOD + b"\r\n0\r\nIdempotency-Key: key\r\nX-Last: x\r\n\r\n"
    connection = watched.connect()
    connection.send(request(b"POST", path.encode() + b"/captures", fields) + chunks)
    connection.send(request(b"GET", b"/healthz", [b"Connection: close"]))
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [400, 200]
    assert b"/problems/idempotency_key_missing" in connection.received
    assert watched.state(path) == "authorized"


@pytest.mark.parametrize("before", [0, 1])
def test_who_asks_before_the_body_comes_is_told_in_its_turn_and_the_body_is_read(
    watched: Watched, before: int
) -> None:
    """Who was refused without being told would alone know whether the body still comes."""
    victim = watched.authorized()
    connection = watched.connect()
    body = capture(victim)
    head = [b"Content-Length: %d" % len(body), b"Expect: 100-continue", b"Content-Type: text/plain"]
    connection.send(request(b"GET", b"/payments?limit=1") * before + request(b"POST", b"/payments", head))
    end = time.monotonic() + LIMIT_S
    while 100 not in connection.statuses() and time.monotonic() < end:
        connection.read(0.05)
    assert connection.statuses() == [200] * before + [100]
    connection.send(body + request(b"GET", b"/healthz", [b"Connection: close"]))
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [200] * before + [100, 415, 200]
    assert watched.state(victim) == "authorized"


def test_what_is_no_http_gets_no_second_answer_for_one_request(watched: Watched) -> None:
    connection = watched.connect()
    begin = request(b"POST", b"/nowhere", [b"Transfer-Encoding: chunked"]) + b"4e20\r\n" + b" " * 20_000
    connection.send(begin)
    connection.read(0.3)
    connection.send(b"no chunk\r\n")
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [404]


@pytest.mark.parametrize(
    ("raw", "status", "name"),
    [
        (b"NO HTTP\r\n\r\n", 400, "malformed_http"),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400, "malformed_http"),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "malformed_http"),
        (b"GET /" + b"x" * 30_000, 431, "head_too_large"),
        (
            request(b"POST", b"/", [b"Transfer-Encoding: gzip, chunked"]) + b"0\r\n\r\n",
            501,
            "unsupported_transfer_coding",
        ),
        (
            request(b"POST", b"/", [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"])
            + b"0\r\n\r\n",
            501,
            "unsupported_transfer_coding",
        ),
    ],
)
def test_each_refusal_is_a_problem_document(watched: Watched, raw: bytes, status: int, name: str) -> None:
    connection = watched.connect()
    connection.send(raw)
    assert connection.await_end(LIMIT_S)
    head, _, body = bytes(connection.received).partition(b"\r\n\r\n")
    assert connection.statuses() == [status]
    for field in (
        b"content-type: application/problem+json",
        b"connection: close",
        b"x-content-type-options: nosniff",
    ):
        assert field in head.lower()
    assert json.loads(body)["type"] == f"/problems/{name}"


def test_the_hidden_request_is_one_that_works(watched: Watched) -> None:
    """Without it the test above could not fail."""
    victim = watched.authorized()
    body = b"0\r\n\r\n" + capture(victim)
    connection = watched.converse(
        Sent((request(b"POST", b"/payments", [AS_JSON, b"Transfer-Encoding: chunked"]) + body,))
    )
    connection.read(0.5)
    assert connection.statuses() == [400, 201]
    assert watched.state(victim) == "captured"


# ---- one after the other ------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_their_order(watched: Watched) -> None:
    path = watched.authorized()
    many = [request(b"GET", path.encode()), capture(path), request(b"GET", b"/nothing"), capture(path)]
    connection = watched.connect()
    connection.send(b"".join(many) + request(b"GET", b"/healthz", [b"Connection: close"]))
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [200, 201, 404, 201, 200]


REST = [b"NO HTTP AT ALL\r\n\r\n", b"\x00" * 100, GOOD, b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n"]


@pytest.mark.parametrize("rest", REST, ids=["text", "NULs", "a body", "a head"])
def test_what_follows_a_capture_does_not_take_its_answers_place(watched: Watched, rest: bytes) -> None:
    its_answer_comes(watched, rest)


def its_answer_comes(watched: Watched, rest: bytes = REST[0]) -> None:
    path = watched.authorized()
    connection = watched.connect()
    connection.send(capture(path) + rest)
    assert connection.await_end(LIMIT_S)
    assert connection.statuses() == [201]
    assert watched.state(path) == "captured"


def test_there_is_an_end_to_how_many_are_taken_in_advance(watched: Watched) -> None:
    not_all_are_answered(watched)


def not_all_are_answered(watched: Watched) -> None:
    connection = watched.connect()
    connection.send(request(b"GET", b"/healthz") * 2_000)
    assert connection.await_end(LIMIT_S)
    assert len(connection.statuses()) < 2_000


def test_clients_that_hang_up_while_they_are_answered_are_no_errors(watched: Watched) -> None:
    hang_up(watched)


def hang_up(watched: Watched) -> None:
    before = errors_in(watched.server.printed)
    for number in range(20):
        connection = watched.connect()
        connection.send(request(b"GET", b"/payments?limit=200") * 60)
        time.sleep(number * 0.002)
        connection.reset()
    watched.captures()
    assert errors_in(watched.server.printed) == before


def hang_up_again_and_again(watched: Watched) -> None:
    """Who hangs up has to meet an answer that is just being sent: on a busy machine not every time."""
    for _ in range(10):
        hang_up(watched)


# ---- how long -----------------------------------------------------------------------------------

HEAD = b"POST /payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = {
    "nothing at all": (b"", b""),
    "a head, byte by byte": (b"GET /payments HTTP/1.1\r\nX-Slow: ", b"x"),
    "a body, byte by byte": (HEAD + b"Content-Length: 10000\r\n\r\n", b" "),
    "chunks, one by one": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers without an end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: t\r\n"),
    "a head that came with a whole request": (request(b"GET", b"/healthz") + HEAD, b""),
    "a body that came with a whole request": (
        request(b"GET", b"/healthz") + HEAD + b"Content-Length: 9\r\n\r\n",
        b"",
    ),
    "a body that was refused": (HEAD + b"Content-Length: 100000000\r\n\r\n", b" " * 20_000),
}


STATUS_OF_SLOW = {
    "nothing at all": [],
    "a head that came with a whole request": [200, 408],
    "a body that came with a whole request": [200, 408],
    "a body that was refused": [413],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_sender_is_ended(hasty: Watched, name: str) -> None:
    slow_sender(hasty, name)


def slow_sender(hasty: Watched, name: str = "trailers without an end", limit_s: float = LIMIT_S) -> None:
    begin, more = SLOW[name]
    connection = hasty.connect()
    if begin:
        connection.send(begin)
    end = time.monotonic() + limit_s
    while not connection.is_closed and time.monotonic() < end:
        if more:
            connection.push(more)
        connection.read(0.05)
    assert connection.is_closed
    assert connection.statuses() == STATUS_OF_SLOW.get(name, [408])


def test_a_body_that_ends_after_its_answer_does_not_keep_the_connection(hasty: Watched) -> None:
    late_end(hasty)


def late_end(hasty: Watched, limit_s: float = LIMIT_S) -> None:
    connection = hasty.connect()
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20002\r\n\r\n"
    connection.send(head + b" " * 20_000)
    end = time.monotonic() + limit_s
    while not connection.statuses() and time.monotonic() < end:
        connection.read(0.05)
    connection.send(b"{}")
    assert connection.await_end(limit_s)
    assert connection.statuses() == [404]


def test_a_client_that_does_not_read_is_ended(hasty: Watched) -> None:
    slow_reader(hasty)


def slow_reader(hasty: Watched, limit_s: float = LIMIT_S) -> None:
    page = httpx.get(f"{hasty.server.url}/payments?limit=200", timeout=LIMIT_S, **DIRECT)
    for _ in range(200 - len(page.json()["payments"])):
        httpx.post(f"{hasty.server.url}/payments", json={"amount_cents": 500}, timeout=LIMIT_S, **DIRECT)
    connection = hasty.connect(receive_buffer=4_096)
    # More than the sockets' buffers hold, and no more at once than the server takes in.
    connection.send(request(b"GET", b"/payments?limit=200") * 60)
    assert connection.await_hang_up(limit_s)


def test_afterwards_everything_is_as_before(hasty: Watched) -> None:
    hasty.settle()


# ---- each bound is one that is needed ------------------------------------------------------------

PROTOCOL = "entrypoints/http/protocol.py"
BROKEN: dict[str, tuple[Edit, Callable[[Watched], object]]] = {
    "no time for a request to arrive": (
        Edit(PROTOCOL, "call_later(seconds, self._too_late)", "call_later(1e6, self._too_late)"),
        lambda server: slow_sender(server, limit_s=5),
    ),
    "no time for what comes after an early answer": (
        Edit(PROTOCOL, "if self.cycle.response_complete:", "if False:"),
        lambda server: late_end(server, limit_s=8),
    ),
    "no time for an answer to be read": (
        Edit(PROTOCOL, "if is_unread and self._was_unread:", "if False:"),
        lambda server: slow_reader(server, limit_s=8),
    ),
    "a 400 in the place of another answer": (
        Edit(
            PROTOCOL,
            "if self._close_after_whole_requests():\n            return\n        if self._in_head",
            "if self._in_head",
        ),
        its_answer_comes,
    ),
    "any number of requests in advance": (
        Edit(PROTOCOL, "len(self.pipeline) >= _MAX_PIPELINED", "False"),
        not_all_are_answered,
    ),
    "a body after an offer is another request": (
        Edit(PROTOCOL, "self.parser.feed_data(head)", "pass"),
        lambda server: test_the_body_after_an_offer_of_another_protocol_is_read(server, "h2c", 0.1, "length"),
    ),
    "trailers are fields": (Edit(PROTOCOL, "self.headers = []", "pass"), test_trailers_are_no_fields),
    "who asks before the body comes is told before the answers that are due": (
        Edit(
            PROTOCOL,
            "        self._unanswered.append(self.cycle)",
            "        self.transport.write(b'HTTP/1.1 100 \\r\\n\\r\\n')\n"
            "        self._unanswered.append(self.cycle)",
        ),
        lambda server: test_who_asks_before_the_body_comes_is_told_in_its_turn_and_the_body_is_read(
            server, 1
        ),
    ),
    "two answers for one request": (
        Edit(PROTOCOL, "if self._in_head or not self.cycle.response_started:", "if True:"),
        test_what_is_no_http_gets_no_second_answer_for_one_request,
    ),
    "who has gone is answered": (
        Edit(PROTOCOL, "for cycle in self._unanswered:", "for cycle in ():"),
        hang_up_again_and_again,
    ),
}


def again_and_again(check: Callable[[Watched], object], broken: Watched) -> None:
    """Some bugs need a moment that a busy machine may miss."""
    for _ in range(5):
        check(broken)


@pytest.mark.parametrize("bug", BROKEN)
def test_a_server_without_it_is_found(bug: str, shared_database: Database, tmp_path: Path) -> None:
    edit, check = BROKEN[bug]
    mutant = mutated_copy(tmp_path / "mutant", [edit])
    variables = {
        "DATABASE_URL": shared_database.app_dsn,
        "PROTOCOL_LIMITS": HASTY,
        "PYTHONPATH": f"{mutant}{os.pathsep}{ROOT}",
        **SETTINGS,
    }
    with serving(tmp_path, module="tests.support.telling", **variables) as server:
        broken = Watched(server, shared_database)
        with pytest.raises(AssertionError):
            again_and_again(check, broken)
        broken.close()
