"""Lines for curl: pasted into bash, they send what was sent, whatever is in it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from pgweave.service.curl import CurlWriter
from pgweave.service.exchange import HttpExchange, exchanges_kept, note_exchanges
from pgweave.service.http_client import http_client
from tests.support.tools import require_tool

require_tool("curl", purpose="which the lines call")
require_tool("jq", purpose="which takes ids out of answers")
Arrived = tuple[str, str, Mapping[str, str], bytes]

KEYS = [
    "plain",
    "k 1",
    "it's",
    'say "so"',
    "$HOME `id` \\n",
    "-X",
    "@file",
    "a;b|c&d>e",
    "#1",
    "%41",
    "!1",
    "é ü",
]
BODIES: dict[str, dict[str, Any]] = {
    "JSON": {"json": {"amount": 500, "note": 'it\'s "quoted" $x `y` \\ \n new line ünï'}},
    "a form": {"data": {"amount": "500", "note": "a&b=c d+e%20'"}},
    "bytes": {"content": b"\xff\xfe\r\n\t\x01'\\"},
    "bytes with zeros": {"content": b"a\x00b\\0'%s\xff"},
    "like a file's name": {"content": b"@/etc/passwd"},
    "nothing": {},
}
PATHS = ["/a/b", "/a?x=1&y=it's", "/a/[1-3]/{b,c}", "/a/%2e%2e/b", "/a/../b", "/%20'"]


@contextmanager
def listening(answers: list[bytes] | None = None) -> Iterator[tuple[str, list[Arrived]]]:
    """A server that notes what arrives, and answers these in turn."""
    arrived: list[Arrived] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {name.lower(): value for name, value in self.headers.items()}
            arrived.append((self.command, self.raw_requestline.split()[1].decode(), kept, body))
            answer = answers.pop(0) if answers else b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", arrived
    finally:
        server.shutdown()
        server.server_close()


def sent(url: str, *requests: tuple[str, str, dict[str, Any]]) -> list[HttpExchange]:
    async def send() -> list[HttpExchange]:
        async with http_client(url, limit_s=10) as http:
            note_exchanges(http)
            with exchanges_kept() as kept:
                for method, path, more in requests:
                    await http.request(method, path, **more)
        return kept

    return asyncio.run(send())


def paste(url: str, lines: list[str], **environment: str) -> str:
    done = subprocess.run(
        ["bash", "--norc"],
        input="\n".join([f"URL={url}", *lines, ""]),
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "syntax error" not in done.stderr
    return done.stdout + done.stderr


def seen(arrived: Arrived) -> tuple[Any, ...]:
    method, path, headers, body = arrived
    return method, path, headers.get("idempotency-key"), headers.get("content-type"), body


def test_whatever_is_sent_is_sent_again() -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/k", {"headers": {"Idempotency-Key": key.encode()}}) for key in KEYS
    ]
    requests += [("PUT", "/b", more) for more in BODIES.values()]
    requests += [("GET", path, {}) for path in PATHS]
    requests += [("DELETE", "/d", {}), ("PATCH", "/p", {"json": []}), ("HEAD", "/h", {})]
    with listening() as (url, arrived):
        exchanges = sent(url, *requests)
        first, arrived[:] = list(map(seen, arrived)), []
        writer = CurlWriter(exchanges)
        lines = [writer.line(each) for each in exchanges]
        paste(url, lines)
        assert list(map(seen, arrived)) == first
    assert all(line.isprintable() for line in lines)
    assert all("Accept" not in line and "User-Agent" not in line for line in lines)


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (b'{"id": "%s"}', ".id"),
        (b'{"charge": {"the id": "%s"}}', '.charge["the id"]'),
        (b'[{"a": 1}, "%s"]', ".[1]"),
    ],
)
def test_an_id_that_an_answer_brings_is_taken_from_the_answer(answer: bytes, path: str) -> None:
    create, read = ("POST", "/c", {"json": {"amount": 5}}), ("POST", "/c/ID-1/pay", {"json": {"of": "ID-1"}})
    with listening([answer % b"ID-1"]) as (url, _):
        exchanges = sent(url, create, read)
    writer = CurlWriter(exchanges)
    lines = [writer.line(each) for each in exchanges]
    assert path in lines[0]
    with listening([answer % b"another-7"]) as (url, arrived):
        paste(url, lines)
    assert [(path, body) for _, path, _, body in arrived] == [
        ("/c", b'{"amount":5}'),
        ("/c/another-7/pay", b'{"of":"another-7"}'),
    ]


def test_two_ids_of_one_answer() -> None:
    with listening([b'{"id": 17, "secret": "s-1"}']) as (url, _):
        exchanges = sent(url, ("POST", "/c", {}), ("GET", "/c/17?client=s-1", {}))
    writer = CurlWriter(exchanges)
    lines = [writer.line(each) for each in exchanges]
    with listening([b'{"id": 18, "secret": "s-2"}']) as (url, arrived):
        paste(url, lines)
    assert [path for _, path, _, _ in arrived] == ["/c", "/c/18?client=s-2"]


def test_an_amount_that_an_answer_has_is_no_id() -> None:
    def exchange(target: str, body: bytes, answer: str = "") -> HttpExchange:
        return HttpExchange("POST", "http://service", target, (), body, 0.0, 200, answer)

    sent = [
        exchange("/intents", b"amount=1", '{"id": 41, "received": 0, "customer": {"id": 7}, "days": 3}'),
        exchange("/intents/41/capture", b"amount=0&customer_id=7&days=41"),
    ]
    writer = CurlWriter(sent)
    assert "received" not in writer.line(sent[0])
    shown = writer.line(sent[1])
    assert '/intents/"${ID1}"/capture' in shown
    assert shown.endswith("'amount=0&customer_id='\"${ID2}\"'&days=41'")


def test_a_secret_is_a_variable() -> None:
    headers = {"Authorization": "Bearer s3cret'x"}
    with listening() as (url, arrived):
        exchanges = sent(url, ("GET", "/a?token=s3cret'x", {"headers": headers}))
        line = CurlWriter(exchanges, {"s3cret'x": "TOKEN"}).line(exchanges[0])
        assert "s3cret" not in line
        paste(url, [line], TOKEN="another")
    assert arrived[1][1:3] == ("/a?token=another", arrived[1][2])
    assert arrived[1][2]["authorization"] == "Bearer another"
