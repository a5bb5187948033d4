"""A server on a socket that answers with whatever bytes it is told, for as long as anyone listens."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain, repeat

Shape = Callable[[], Iterable[bytes]]
"""Makes the parts of one answer; an empty part is a pause."""

_PAUSE_S = 0.02


class HostileServer:
    """Answers each request with the same shape.

    Attributes:
        url: where it is.
        shape: what it answers.
        requests: the heads of the requests that came.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.shape: Shape = lambda: [b""]
        self.requests: list[bytes] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    @classmethod
    @contextmanager
    def opened(cls, tls: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
        """A server that serves until the block ends, over TLS if it has a context."""
        server = cls(tls)
        server._threads[0].start()
        try:
            yield server
        finally:
            server._ended.set()
            server._socket.shutdown(socket.SHUT_RDWR)
            server._socket.close()
            for thread in server._threads:
                thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while not self._ended.is_set():
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(0.5)
        with suppress(OSError), ExitStack() as stack:  # the client has gone
            stack.enter_context(connection)
            if self._tls is not None:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
            self.requests.append(connection.recv(65_536))
            for part in self.shape():
                if self._ended.is_set():
                    return
                if part:
                    connection.sendall(part)
                else:
                    self._ended.wait(_PAUSE_S)


def head(status: int, *fields: str) -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status} X", *fields, "", ""]).encode("latin-1")


def answer(
    status: int, body: bytes, *fields: str, content_type: str | None = "application/json"
) -> list[bytes]:
    """A whole answer."""
    typed = [f"Content-Type: {content_type}"] if content_type is not None else []
    return [head(status, *typed, f"Content-Length: {len(body)}", "Connection: close", *fields), body]


def drip(data: bytes) -> Iterator[bytes]:
    """Bytes one by one, with pauses, and at their end pauses for ever."""
    for n in range(len(data)):
        yield data[n : n + 1]
        yield b""
    yield from repeat(b"")


def endless(start: bytes, part: bytes) -> Shape:
    """A start, and then one part for ever."""
    return lambda: chain([start], repeat(part))


def _bomb(layers: int) -> bytes:
    """300 MB of spaces, compressed so many times."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(squeezer.compress(b" " * 1_000_000) for _ in range(300)) + squeezer.flush()
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    return packed


_BIG = b"x" * 16_384
_JSON = "Content-Type: application/json"
_NOON = "Date: Fri, 02 Jan 2026 12:00:00 GMT"
_CHUNKED = "Transfer-Encoding: chunked"

SHAPES: dict[str, Shape] = {
    "nothing, and it is closed": list,
    "nothing for ever": lambda: repeat(b""),
    "another protocol": lambda: [b"SSH-2.0-hello\r\n"],
    "no head": lambda: [b"<html>hello</html>"],
    "an endless first line": endless(b"HTTP/1.1 201 ", _BIG),
    "an endless field": endless(b"HTTP/1.1 201 Created\r\nX: ", _BIG),
    "endless fields": endless(b"HTTP/1.1 201 Created\r\n", b"X: y\r\n" * 1_000),
    "endless informational answers": endless(b"", head(100) + head(102) + head(103, "Link: </x>")),
    "informational answers with pauses": lambda: chain.from_iterable(repeat([head(102), b""])),
    "another protocol is switched to": endless(head(101, "Upgrade: x", "Connection: upgrade"), _BIG),
    "a head in drips": lambda: drip(head(201, _JSON, *(f"X-{n}: y" for n in range(10_000)))),
    "a body in drips": lambda: chain([head(201, _JSON, "Content-Length: 60000")], drip(b" " * 60_000)),
    "chunks in drips": lambda: chain([head(201, _JSON, _CHUNKED)], drip(b"1\r\n \r\n" * 60_000)),
    "an endless body": endless(head(201, _JSON), _BIG),
    "an endless body in chunks": endless(head(201, _JSON, _CHUNKED), b"4000\r\n" + _BIG + b"\r\n"),
    "chunks of one byte": endless(head(201, _JSON, _CHUNKED), b"1\r\n \r\n" * 1_000),
    "an endless size of a chunk": endless(head(201, _JSON, _CHUNKED), b"0" * 1_000),
    "an endless extension of a chunk": endless(head(201, _JSON, _CHUNKED) + b"1;x=", _BIG),
    "a chunk of any size": lambda: [head(201, _JSON, _CHUNKED), b"f" * 19 + b"\r\n", b"{}"],
    "a chunk of no size": lambda: [head(201, _JSON, _CHUNKED), b"-1\r\n{}\r\n"],
    "endless trailers": endless(head(201, _JSON, _CHUNKED) + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1_000),
    "a large body that is announced": endless(head(201, _JSON, "Content-Length: 999999999999"), _BIG),
    "a length beyond any": lambda: [head(201, _JSON, f"Content-Length: {'9' * 5_000}"), b"{}"],
    "a length below any": lambda: [head(201, _JSON, "Content-Length: -1"), b"{}"],
    "two lengths": lambda: [head(201, _JSON, "Content-Length: 2", "Content-Length: 3"), b"{}"],
    "a length and chunks": lambda: [head(201, _JSON, "Content-Length: 2", _CHUNKED), b"{}"],
    "a body shorter than its length": lambda: [head(201, _JSON, "Content-Length: 9"), b"{}"],
    "a coding of transfer": lambda: [head(201, _JSON, "Transfer-Encoding: gzip, chunked"), b"0\r\n\r\n"],
    "a status below any": lambda: [b"HTTP/1.1 099 X\r\n\r\n"],
    "a status beyond any": lambda: [head(999, "Content-Length: 0")],
    "a status of four digits": lambda: [b"HTTP/1.1 2010 X\r\n\r\n"],
    "another version": lambda: [b"HTTP/9.9 201 X\r\nContent-Length: 0\r\n\r\n"],
    "a NUL in a field": lambda: [head(201, "X: \0", "Content-Length: 0")],
    "a folded field": lambda: [
        head(201, "Content-Type: application/json\r\n ; x", "Content-Length: 2"),
        b"{}",
    ],
    "bytes that are no text in fields": lambda: answer(201, b"{}", "X: \xff\xfe", "Retry-After: \xff"),
    "204": lambda: [head(204)],
    "205": lambda: answer(205, b""),
    "206": lambda: answer(206, b"{}"),
    "304": lambda: [head(304)],
    **{
        f"a coding: {coding}": partial(answer, 201, b"{}", f"Content-Encoding: {coding}")
        for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x" * 1_000)
    },
    **{
        f"{status}, wait {text[:30]!r}": partial(answer, status, b"", f"Retry-After: {text}", _NOON)
        for status in (429, 503)
        for text in (
            f"Fri, 02 Jan {'9' * 20} 12:00:00 GMT",
            "Fri, 02 Jan 9999 23:59:59 -2359",
            f"Fri, 02 Jan 2026 {'9' * 20}:00:00 GMT",
            f"Fri, 02 Jan 2026 12:00:00 +{'9' * 20}",
            "Fri, 02 Jan 0000 12:00:00 GMT",
            "9" * 10_000,
            "1e999",
            "-9",
            ",",
            "inf",
            "nan",
            "x " * 20_000,
        )
    },
}
"""Answers that are none, by what they are."""


def bombs() -> dict[str, Shape]:
    """Answers that are small and grow; they take a second to make."""
    return {
        coding: partial(answer, 201, _bomb(layers), f"Content-Encoding: {coding}")
        for coding, layers in (("gzip", 1), ("gzip, gzip", 2))
    }
