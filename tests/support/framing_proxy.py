"""A proxy between many clients and one connection to a server, as a test of where requests end."""

from __future__ import annotations

import random
from contextlib import closing
from itertools import count

import h11

from tests.support.smuggling import Attempt, Sender, Tally, attempt, cut


class Proxy:
    """A proxy that understands what its clients send, strictly, and sends it on in a framing of its own.

    All its clients share one connection to the server, one request after the other. Each is given the answer
    that comes next: if that is not its own, somebody has smuggled.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self._sender = Sender(port)
        self._chance = chance
        self.tally = Tally()

    def forward(self, tried: Attempt) -> None:
        """Send one client's request on, and hand it its answer."""
        try:
            asked, body, trailers = _understood(tried)
        except (h11.RemoteProtocolError, ValueError):
            self.tally.refused += 1
            return
        self.tally.tried += 1
        self._sender.send(self._framed(asked, body, trailers))
        found = self._sender.answer(has_body=asked.method != b"HEAD")
        if found is None:
            self.tally.answers["closed"] += 1
            self._sender.close()
            return
        status, named, answer, is_last = found
        self.tally.answers[str(status)] += 1
        if (named != tried.name and not (named == b"" and is_last)) or self._sender.unasked():
            self.tally.smuggled.append((tried, answer + self._sender.unasked()))
            self._sender.close()
        if is_last:
            self._sender.close()

    def close(self) -> None:
        """End the connection to the server."""
        self._sender.close()

    def _framed(self, asked: h11.Request, body: bytes, trailers: h11.EndOfMessage) -> tuple[bytes, ...]:
        kept = [each for each in asked.headers.raw_items() if each[0].lower() not in _FRAMING]
        if self._chance.random() < 0.5:
            framed, content = b"Content-Length: %d" % len(body), body
        else:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            more = b"".join(b"%b: %b\r\n" % each for each in trailers.headers.raw_items())
            framed, content = b"Transfer-Encoding: chunked", chunk + b"0\r\n" + more + b"\r\n"
        lines = [
            b"%b %b HTTP/1.1" % (asked.method, asked.target),
            *(b"%b: %b" % each for each in kept),
            framed,
        ]
        return cut(self._chance, b"\r\n".join(lines) + b"\r\n\r\n", content)


_FRAMING = {b"content-length", b"transfer-encoding", b"trailer"}


def _understood(tried: Attempt) -> tuple[h11.Request, bytes, h11.EndOfMessage]:
    """The request that a client has sent, its body, and what ends it.

    Raises:
        h11.RemoteProtocolError: it has sent none.
        ValueError: it has not sent the whole, or its end could be doubted.
    """
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"".join(tried.parts))
    asked = parser.next_event()
    if not isinstance(asked, h11.Request) or asked.http_version != b"1.1":
        raise ValueError("no request of this version")
    if sum(name in _FRAMING for name, _ in asked.headers) > 1:
        raise ValueError("its end could be doubted")
    body = b""
    while isinstance(event := parser.next_event(), h11.Data):
        body += bytes(event.data)
    if not isinstance(event, h11.EndOfMessage) or any(name in _FRAMING for name, _ in event.headers):
        raise ValueError("no whole request, or trailers about its end")
    return asked, body, event


def through_a_proxy(port: int, chance: random.Random, number: int, hidden: bytes) -> Tally:
    """Send on so many, as requests of many clients of one proxy."""
    names = count()
    with closing(Proxy(port, chance)) as proxy:
        while proxy.tally.tried < number:
            proxy.forward(attempt(chance, b"p%d" % next(names), hidden, oddness=0.1))
    return proxy.tally
