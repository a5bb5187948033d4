"""Bytes that are nearly HTTP, and what a server makes of them."""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import uuid4

from hypothesis import strategies as st

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_HEAD_END = b"\r\n\r\n"
GOOD = b'{"amount_cents":500}'
AS_JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Sent:
    """Something that a client does.

    Attributes:
        parts: what it sends, with a moment between.
        reset: whether it then resets the connection, and reads nothing.
    """

    parts: tuple[bytes, ...]
    reset: bool = False


def request(method: bytes, target: bytes, fields: Sequence[bytes] = (), body: bytes | None = None) -> bytes:
    """A request as it goes over the wire, with a length that is right."""
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: localhost", *fields]
    if body is not None:
        lines += [AS_JSON, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + _HEAD_END + (body or b"")


def capture(path: str, key: str = "fuzz") -> bytes:
    """A good capture."""
    return request(b"POST", path.encode() + b"/captures", [b"Idempotency-Key: " + key.encode()], GOOD)


# ---- what is sent -------------------------------------------------------------------------------

ANY_BYTES = st.binary(max_size=40)
TARGETS = st.sampled_from(
    [
        b"/",
        b"/payments",
        b"/healthz",
        b"*",
        b"",
        b"//",
        b"/payments/../payments",
        b"/payments/%00",
        b"/payments/\x00",
        b"/payments/\xff\xfe",
        b"/payments?after=%00&limit=%ff",
        b"/pay ments",
        b"http://elsewhere/payments",
        b"http://localhost/payments",
        b"http://localhost",
        b"http://localhost:x/payments",
        b"http://user@localhost/payments",
        b"http:///payments",
        b"ftp://localhost/payments",
        b"/payments%2Fx",
        b"/payments%0a?limit=1",
        b"/payments\t",
        b" /payments",
        b"elsewhere:443",
        b"/" + b"a" * 70_000,
        b"/payments?" + b"a=b&" * 5_000,
        b"/static/../../etc/passwd",
        b"/problems/%2e%2e",
        b"/#fragment",
    ]
) | ANY_BYTES.map(lambda more: b"/payments/" + more)
METHODS = st.sampled_from(
    [
        b"GET",
        b"POST",
        b"PUT",
        b"HEAD",
        b"OPTIONS",
        b"DELETE",
        b"PATCH",
        b"TRACE",
        b"CONNECT",
        b"PRI",
        b"get",
        b"",
        b"G\x00T",
        b"X" * 500,
    ]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9", b"http/1.1", b"", b"HTTP/1.1 x"]
)
FIELDS = st.sampled_from(
    [
        b"Content-Length: 20",
        b"Content-Length: 0",
        b"Content-Length: -1",
        b"Content-Length: +20",
        b"Content-Length: 0x14",
        b"Content-Length: 20, 20",
        b"Content-Length: 20, 21",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: 1000000",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\tchunked",
        b"Transfer-Encoding: chunked\x0b",
        b"Transfer-Encoding: \x00chunked",
        b"Connection: close",
        b"Connection: keep-alive, upgrade",
        b"Upgrade: websocket",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Expect: 100-continue",
        b"Expect: miracles",
        b"Idempotency-Key: key",
        b"Idempotency-Key: a\x00b",
        b"Idempotency-Key: \xff",
        b"Content-Type: application/json",
        b"Content-Type: text/\x00",
        b"X-Request-ID: " + b"x" * 5_000,
        b"If-None-Match: " + b'"x", ' * 1_000,
        b"Authorization: Bearer \xff\x00",
        b"Host: a\r\nHost: b",
        b" folded: continued",
        b"no colon",
        b": no name",
        b"bad name: x",
        b"N\x00l: x",
        b"X-Bare: a\nX-Other: b",
        b"X-Bare-CR: a\rb",
        b"\r\nGET /payments HTTP/1.1",
    ]
) | ANY_BYTES.map(lambda more: b"X-Any: " + more)
CHUNKS = st.sampled_from(
    [
        b"14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14;ext=1\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14;" + b"e" * 20_000 + b"\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14\r\n" + GOOD,
        b"14\r\n" + GOOD + b"0\r\n\r\n",
        b"13\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"15\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"-14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"0x14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14\n" + GOOD + b"\n0\n\n",
        b"14 \r\n" + GOOD + b"\r\n0\r\n\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\nX-Trailer: t\r\n\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\n" + b"X-Trailer: t\r\n" * 500 + b"\r\n",
        b"14\r\n" + GOOD + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
        b"\r\n",
        b"zz\r\n\r\n",
        b"1\r\n{\r\n" * 500,
        b"0\r\n\r\n" * 3,
    ]
)
BODIES = CHUNKS | st.sampled_from([GOOD, GOOD * 2, b"", b"{", b"\x00" * 50, b" " * 20_000]) | ANY_BYTES
SEPARATORS = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"\r\r\n", b"\x00\r\n"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A head that may be right in some of its parts."""
    line = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    fields = draw(st.lists(FIELDS, max_size=5))
    flood = draw(st.sampled_from([0] * 6 + [101, 3_000]))
    separator = draw(SEPARATORS)
    host = draw(st.sampled_from([[b"Host: localhost"]] * 6 + [[]]))
    return separator.join([line, *host, *fields, *[b"X-Flood: f"] * flood]) + draw(
        st.sampled_from([separator * 2, _HEAD_END])
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good capture of a payment that does not exist, with some bytes changed, cut, doubled or put in."""
    raw = bytearray(capture(f"/payments/{draw(st.uuids(version=4))}"))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        upto = min(len(raw), at + draw(st.integers(1, 30)))
        match draw(st.sampled_from(["change", "cut", "double", "put in"])):
            case "change":
                raw[at] = draw(st.integers(0, 255))
            case "cut":
                del raw[at:upto]
            case "double":
                raw[at:at] = raw[at:upto]
            case "put in":
                raw[at:at] = draw(ANY_BYTES)
        if not raw:
            break
    return bytes(raw)


ONE = st.one_of(
    st.builds(lambda head, body: head + body, heads(), BODIES),
    mutated(),
    st.builds(
        lambda fields, body: (
            request(b"POST", b"/payments", [AS_JSON, b"Transfer-Encoding: chunked", *fields]) + body
        ),
        st.lists(FIELDS, max_size=2),
        CHUNKS,
    ),
    st.binary(max_size=2_000),
)
GOOD_ONE = st.sampled_from(
    [
        request(b"GET", b"/healthz"),
        request(b"GET", b"/payments?limit=200"),
        request(b"POST", b"/payments", (), GOOD),
    ]
)
PIPELINED = st.lists(GOOD_ONE | ONE, min_size=1, max_size=8).map(b"".join) | st.builds(
    lambda one, count: one * count, GOOD_ONE, st.integers(1, 300)
)


@st.composite
def conversations(draw: st.DrawFn) -> Sent:
    """One connection: something like HTTP, in parts, and perhaps a client that hangs up."""
    raw = draw(ONE | PIPELINED)
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=3)))
    bounds = [0, *cuts, len(raw)]
    parts = tuple(raw[start:end] for start, end in pairwise(bounds) if start < end)
    keep = draw(st.sampled_from([len(parts)] * 4 + [1]))
    return Sent(parts[:keep], reset=draw(st.sampled_from([False] * 3 + [True])))


# ---- what comes back ----------------------------------------------------------------------------


class Connection:
    """A connection to a server, read without ever waiting for long.

    Attributes:
        received: everything that has come.
        is_closed: whether the server has closed it.
        port: the client's.
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.received = bytearray()
        self.is_closed = False
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]

    def send(self, data: bytes) -> bool:
        """Send; whether the server still takes it."""
        try:
            self._socket.settimeout(30)
            self._socket.sendall(data)
        except OSError:
            self.is_closed = True
        return not self.is_closed

    def push(self, data: bytes) -> bool:
        """Send what fits now; whether the server still takes it."""
        try:
            self._socket.settimeout(0.2)
            self._socket.send(data)
        except TimeoutError:
            pass
        except OSError:
            self.is_closed = True
        return not self.is_closed

    def read(self, quiet_s: float) -> None:
        """Read until nothing has come for so long, or the server closes."""
        while not self.is_closed and select.select([self._socket], [], [], quiet_s)[0]:
            self._take()

    def await_end(self, limit_s: float) -> bool:
        """Read until the server closes, at most so long; whether it has."""
        end = time.monotonic() + limit_s
        while not self.is_closed and (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                self._take()
        return self.is_closed

    def await_hang_up(self, limit_s: float) -> bool:
        """Wait until the server closes, without reading; whether it has within so long."""
        end = time.monotonic() + limit_s
        while (left := end - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._socket, select.POLLHUP | select.POLLERR)
            if poll.poll(min(left, 0.2) * 1000):
                return True
        return False

    def _take(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.is_closed = True
            self._socket.close()

    def statuses(self) -> list[int]:
        """The statuses of the answers that have come."""
        return [int(each) for each in _STATUS.findall(self.received)]

    def reset(self) -> None:
        """Close at once: what is under way is dropped, and the server is told so."""
        if self.is_closed:
            return
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()


def smuggling(hidden: bytes) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Requests of which two servers may disagree where they end; ``hidden`` is a request in their bodies.

    Each is a name and what is sent, with a moment between its parts.
    """
    for name, raw in _in_one_part(hidden):
        yield name, (raw,)
    json = b"Content-Type: application/json"
    offer = b"Connection: Upgrade", b"Upgrade: anything", json
    head = request(b"POST", b"/payments", [*offer, b"Content-Length: %d" % len(hidden)])
    yield "a length after an offer", (head, hidden)
    yield "a length after an offer, at once", (head + hidden,)
    head = request(b"POST", b"/payments", [*offer, b"Transfer-Encoding: chunked"])
    yield "chunks after an offer", (head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden))
    yield "a tunnel", (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", hidden)
    head = request(
        b"POST", b"/payments", [b"Expect: 100-continue", json, b"Content-Length: %d" % len(hidden)]
    )
    yield "a body that is not waited for", (head, hidden)


def _in_one_part(hidden: bytes) -> Iterator[tuple[str, bytes]]:

    def post(*fields: bytes, body: bytes, end: bytes = b"\r\n") -> bytes:
        lines = [b"POST /payments HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *fields]
        return end.join(lines) + end * 2 + body

    chunked = b"0\r\n\r\n" + hidden
    length = b"Content-Length: %d"
    yield "CL.TE", post(length % len(chunked), b"Transfer-Encoding: chunked", body=chunked)
    yield "TE.CL", post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"1\r\n{\r\n" + chunked)
    yield "two lengths", post(b"Content-Length: 0", length % len(hidden), body=hidden)
    yield "two lengths in one", post(b"Content-Length: 0, %d" % len(hidden), body=hidden)
    yield "a length with a sign", post(b"Content-Length: +0", body=hidden)
    yield "a length in hex", post(b"Content-Length: 0x0", body=hidden)
    yield "a length with an underscore", post(b"Content-Length: 0_0", body=hidden)
    yield (
        "a space before the colon",
        post(length % len(chunked), b"Transfer-Encoding : chunked", body=chunked),
    )
    yield "a folded field", post(length % len(chunked), b"Transfer-Encoding:\r\n chunked", body=chunked)
    yield "a vertical tab", post(length % len(chunked), b"Transfer-Encoding: \x0bchunked", body=chunked)
    yield "an unknown coding", post(b"Transfer-Encoding: xchunked", body=chunked)
    yield "chunked, not last", post(b"Transfer-Encoding: chunked, identity", body=chunked)
    yield "a coding before chunked", post(b"Transfer-Encoding: gzip, chunked", body=chunked)
    yield (
        "a coding in a field before",
        post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=chunked),
    )
    yield "chunked twice", post(b"Transfer-Encoding: chunked, chunked", body=chunked)
    yield (
        "chunks of another version",
        post(b"Transfer-Encoding: chunked", body=chunked).replace(b"1.1", b"1.0", 1),
    )
    yield "lines that end with LF", post(b"Content-Length: 0", body=hidden, end=b"\n")
    yield "a space after a chunk's size", post(b"Transfer-Encoding: chunked", body=b"0 \r\n\r\n" + hidden)
    yield (
        "a length in the trailers",
        post(b"Transfer-Encoding: chunked", body=b"0\r\nContent-Length: 5\r\n\r\n" + hidden),
    )
    yield "two encodings", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=chunked)
    yield (
        "a chunk that is too long",
        post(b"Transfer-Encoding: chunked", body=b"1\r\n{}" + b"\r\n0\r\n\r\n" + hidden),
    )
    yield "a chunk with a sign", post(b"Transfer-Encoding: chunked", body=b"-0\r\n\r\n" + hidden)
    yield "a chunk in 0x", post(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + hidden)
    yield (
        "a chunk that overflows",
        post(b"Transfer-Encoding: chunked", body=b"10000000000000000\r\n" + hidden),
    )
    yield (
        "a line feed in an extension",
        post(b"Transfer-Encoding: chunked", body=b"2;a\nxx\r\n{}\r\n0\r\n\r\n" + hidden),
    )
    yield "a NUL in a field", post(length % len(chunked), b"Transfer-Encoding: chunked\x00", body=chunked)
    yield "a carriage return in a field", post(b"X: a\rTransfer-Encoding: chunked", body=chunked)
    yield (
        "a request in a field",
        post(b"Content-Length: 0", b"X: a\r\n" + hidden.replace(b"\r\n", b"\r"), body=b""),
    )


def new_path() -> str:
    """The path of a payment that is not there yet."""
    return f"/payments/{uuid4()}"
