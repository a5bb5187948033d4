"""Requests with a request hidden in their bodies, what became of them, and how they are sent.

Whether the hidden one is taken for a request shows in the answers: each request has an id of its own, which
its answer repeats, so that an answer to the hidden one, or to another client's, is known at once.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

LIMIT_S = 20.0
HIDDEN = b"hidden"
_METHODS = [b"POST"] * 6 + [b"PUT", b"GET", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH"]
_TARGETS = [
    b"/payments",
    b"/healthz",
    b"/nowhere",
    b"http://localhost/payments",
    b"/payments?limit=1",
    b"/openapi.json",
    b"/payments%2Fx",
    b"http://elsewhere/payments",
    b"http://localhost",
]
_ODD_TARGETS = [
    b"http://localhost:x/payments",
    b"http://user@localhost/payments",
    b"ftp://localhost/payments",
    b"/payments#x",
    b"*",
    b" /payments",
    b"/payments\t",
    b"/payments%0a?limit=1",
    b"payments",
]
_FIELDS: list[tuple[bytes, ...]] = [
    (b"Connection: Upgrade", b"Upgrade: anything"),
    (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    (b"Connection: keep-alive, upgrade", b"Upgrade: websocket"),
    (b"Upgrade: h2c",),
    (b"Connection: close",),
    (b"Connection: keep-alive",),
    (b"Expect: 100-continue",),
    (b"Expect: 200-ok",),
    (b"Connection: close, keep-alive",),
    (b"Connection: content-length, transfer-encoding",),
    (b"TE: trailers",),
    (b"Content-Encoding: gzip",),
    (b"X-Forwarded-Proto: https",),
]
_ODD_FIELDS: list[tuple[bytes, ...]] = [
    (b"Transfer-Encoding: gzip, chunked",),
    (b"Transfer-Encoding: chunked, chunked",),
    (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked",),
    (b"Transfer-Encoding : chunked",),
    (b"Transfer-Encoding: xchunked",),
    (b"Transfer-Encoding:\x0bchunked",),
    (b"Transfer-Encoding: identity",),
    (b"Transfer-Encoding:\r\n chunked",),
    (b"X: a\rTransfer-Encoding: chunked",),
    (b"X: a\nTransfer-Encoding: chunked",),
    (b"X: a\x00b",),
    (b" X: folded",),
    (b"X\xff: a",),
    (b"X(a): a",),
    (b": a",),
    (b"content_length: 0",),
    (b"Transfer-Encoding:",),
    (b"Transfer-Encoding: ,chunked",),
    (b"Transfer-Encoding: chunked;q=1",),
    (b"Content-Length: 0",),
    (b"Content-Length: +0",),
    (b"Content-Length: 0, 0",),
    (b"Content-Length: 0x0",),
    (b"Content-Length:",),
    (b"Content-Length: 18446744073709551616",),
    (b"Content-Length : 0",),
]
_ODD_VERSIONS = [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"http/1.1", b"ICE/1.0", b"RTSP/1.1"]
_CHUNK_SIZES = [b"%x"] * 8 + [
    b"%X",
    b"000%x",
    b"%x;ext=1",
    b'%x;ext="a;b"',
    b"%x ",
    b"+%x",
    b"0x%x",
    b"-%x",
    b"%x;a\nb",
    b"%x\n",
]
_TRAILERS = [b""] * 4 + [
    b"X-Trailer: t\r\n",
    b"Content-Length: 5\r\n",
    b"X-Request-ID: hidden\r\n",
    b"Host: elsewhere\r\n",
]


@dataclass(frozen=True)
class Attempt:
    """A request that hides another.

    Attributes:
        name: the id of the request.
        parts: what is sent, with a moment between.
    """

    name: bytes
    parts: tuple[bytes, ...]


def attempt(chance: random.Random, name: bytes, hidden: bytes, oddness: float = 0.5) -> Attempt:
    """A request whose body hides another. As it is meant, it ends where all that is sent ends.

    Args:
        chance: decides what is odd about it.
        name: its id.
        hidden: a request, which has the id ``HIDDEN``.
        oddness: how often there is something about it that no correct proxy lets through, 0 to 1.
    """
    is_odd = chance.random() < oddness
    lead = chance.choice([b"", b"", b"\r\n", b"0\r\n\r\n", b"1\r\n{\r\n0\r\n\r\n"])
    body = lead + hidden
    version = chance.choice([b"HTTP/1.1"] * 6 + _ODD_VERSIONS) if is_odd else b"HTTP/1.1"
    fields: list[bytes] = [b"Host: localhost", b"X-Request-ID: " + name, b"Content-Type: application/json"]
    for group in chance.sample(_FIELDS, chance.choice([0, 1, 1, 2])):
        fields += group
    if is_odd and chance.random() < 0.8:
        fields += chance.choice(_ODD_FIELDS)
    if chance.random() < 0.5:
        framed, content = b"Content-Length: %d" % len(body), body
    else:
        framed, content = b"Transfer-Encoding: chunked", _in_chunks(chance, body, is_odd=is_odd)
    fields.insert(chance.randint(3, len(fields)), framed)
    target = chance.choice(_ODD_TARGETS if is_odd and chance.random() < 0.3 else _TARGETS)
    line = b" ".join([chance.choice(_METHODS), target, version])
    end = b"\n" if is_odd and chance.random() < 0.1 else b"\r\n"
    return Attempt(name, cut(chance, end.join([line, *fields]) + end * 2, content))


def _in_chunks(chance: random.Random, body: bytes, *, is_odd: bool) -> bytes:
    size = chance.choice(_CHUNK_SIZES if is_odd else [b"%x"]) % len(body)
    return size + b"\r\n" + body + b"\r\n0\r\n" + chance.choice(_TRAILERS) + b"\r\n"


def cut(chance: random.Random, head: bytes, content: bytes) -> tuple[bytes, ...]:
    """A request in one part or two."""
    match chance.choice(["whole", "after the head", "within"]):
        case "whole":
            return (head + content,)
        case "after the head":
            return (head, content)
        case _:
            at = chance.randint(0, len(content))
            return (head + content[:at], content[at:])


@dataclass
class Tally:
    """What was tried, and what came back.

    Attributes:
        tried: requests that hid another.
        answers: how often each status was answered to them; ``closed`` for no answer.
        refused: those that the proxy did not forward.
        smuggled: answers to what nobody asked.
    """

    tried: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    smuggled: list[tuple[Attempt, bytes]] = field(default_factory=list)

    def told(self, how: str) -> str:
        """A line of it."""
        statuses = ", ".join(f"{number:,} x {status}" for status, number in sorted(self.answers.items()))
        kept = f"; {self.refused:,} refused by the proxy" if self.refused else ""
        return f"smuggling {how}: {self.tried:,} requests, {len(self.smuggled)} smuggled; {statuses}{kept}"


class Sender:
    """Sends to a server as one connection after the other, and reads answers with their ids."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._received = b""

    def send(self, parts: Sequence[bytes]) -> None:
        """Send the parts, each in a packet of its own, on the connection that is open."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), LIMIT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._received = b""
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.001)
            try:
                self._socket.sendall(part)
            except OSError:
                return

    def answer(self, *, has_body: bool = True) -> tuple[int, bytes, bytes, bool] | None:
        """The next answer's status, id, bytes, and whether it is the last; None if there is none."""
        while b"\r\n\r\n" not in self._received:
            if not self._read():
                return None
        head, _, rest = self._received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 "):  # what came before was longer than an answer to what was asked
            self._received = rest
            return 0, b"no answer", head, False
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        status = int(head[9:12])
        may_have_body = has_body or b"x-request-id" not in fields  # refused before it was known to be a HEAD
        is_empty = not may_have_body or status in {100, 204, 304}
        length = 0 if is_empty else int(fields.get(b"content-length", b"0"))
        while len(rest) < length:
            if not self._read():
                return None
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[length:]
        if status == 100:
            return self.answer(has_body=has_body)
        is_last = fields.get(b"connection") == b"close"
        return status, fields.get(b"x-request-id", b""), head + rest[:length], is_last

    def unasked(self) -> bytes:
        """What has come without being asked for."""
        if self._socket is not None:
            self._socket.setblocking(False)
            with suppress(OSError):
                self._received += self._socket.recv(65_536)
            self._socket.settimeout(LIMIT_S)
        return self._received

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read(self) -> bool:
        assert self._socket is not None
        try:
            more = self._socket.recv(65_536)
        except TimeoutError:
            raise AssertionError(f"no answer, and no end of the connection: {self._received!r}") from None
        except OSError:
            more = b""
        self._received += more
        return bool(more)


def directly(port: int, chance: random.Random, number: int, hidden: bytes) -> Tally:
    """Send so many, each on a connection of its own and followed by an ordinary request, which ends it."""
    tally = Tally()
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: last\r\nConnection: close\r\n\r\n"
    for index in range(number):
        tried = attempt(chance, b"n%d" % index, hidden)
        with closing(Sender(port)) as sender:
            sender.send([*tried.parts, last])
            tally.tried += 1
            _hear(sender, tried, tally)
    return tally


def _hear(sender: Sender, tried: Attempt, tally: Tally) -> None:
    """Read what is answered to the attempt and the last request; what is neither's was smuggled."""
    allowed = [tried.name, b"last"]
    has_body, status = not tried.parts[0].startswith(b"HEAD "), "closed"
    while (found := sender.answer(has_body=has_body)) is not None:
        code, named, answer, is_last = found
        if named == b"" and is_last and allowed:  # refused before it was known what it is
            named = allowed[0]
        if named not in allowed:
            tally.smuggled.append((tried, answer))
        else:
            del allowed[: allowed.index(named) + 1]
        status = status if named == b"last" else str(code)
        has_body = True
    tally.answers[status] += 1
