"""Pieces below the application: what is done with a client's bytes, above a transport that leads nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from unittest import mock

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lab.bench.doors.around import FIELDS, PATH
from lab.bench.doors.pair import Piece, Work
from payments_core.entrypoints.http import protocol
from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.joining import JoiningTransport
from payments_core.entrypoints.http.protocol import BoundedProtocol

_BODY = b'{"amount_cents":12345}'[:21]
REQUEST = b"\r\n".join(
    [b"POST " + PATH.encode() + b" HTTP/1.1", *(b"%b: %b" % field for field in FIELDS), b"", _BODY]
)
_ANSWER = b'{"amount_cents":12345}'
_FIELDS = [(b"content-length", b"%d" % len(_ANSWER)), (b"content-type", b"application/json")]
_ON_THE_WIRE = b"HTTP/1.1 201 Created\r\n%b\r\n%b" % (
    b"".join(b"%b: %b\r\n" % field for field in _FIELDS),
    _ANSWER,
)
_OPEN = 500

Make = Callable[..., HttpToolsProtocol]


def pieces() -> Iterator[Piece]:
    """Each of them, as what a whole service has more than one without it."""
    bounded = partial(BoundedProtocol, connections=Connections(_OPEN))
    folder = "entrypoints/http"

    def below(name: str, where: str, make: Make, without: AbstractContextManager[Any] | None = None) -> Piece:
        return Piece(name, f"{folder}/{where}", "request", _sent(bounded), _sent(make, without))

    yield below(
        "the request line, and offers", "heads.py", partial(_WithoutHeads, connections=Connections(1))
    )
    yield below("the target", "targets.py", bounded, _replaced("read_target", lambda target: (None, target)))
    yield below("times and sizes", "protocol.py", partial(_WithoutTimes, connections=Connections(1)))
    yield below(
        "a request begins when it is whole", "protocol.py", partial(_AtOnce, connections=Connections(1))
    )
    yield below(
        "order of answers and refusals", "protocol.py", partial(_WithoutOrder, connections=Connections(1))
    )
    yield below("head and body in one write", "joining.py", bounded, _replaced("JoiningTransport", _Plain))
    yield Piece(
        "head and body in one write, over a socket",
        f"{folder}/joining.py",
        "request",
        _over_a_socket(bounded),
        _over_a_socket(bounded, _replaced("JoiningTransport", _Plain)),
    )
    yield below("who gives way", "connections.py", partial(BoundedProtocol, connections=_Unbounded()))
    yield below("all of these, beside uvicorn", "protocol.py", HttpToolsProtocol)
    yield Piece(
        "time to speak and to read, who gives way",
        f"{folder}/protocol.py",
        "connection",
        _opened(bounded),
        _opened(HttpToolsProtocol),
    )


def _replaced(name: str, by: object) -> AbstractContextManager[Any]:
    return mock.patch.object(protocol, name, by)


async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, and answer as a capture is answered."""
    await receive()
    await send({"type": "http.response.start", "status": 201, "headers": _FIELDS})
    await send({"type": "http.response.body", "body": _ANSWER})


class Nowhere(asyncio.Transport):
    """A transport of a client that takes everything.

    Attributes:
        written: bytes.
    """

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8000)})
        self.written = 0
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written += len(data)

    def writelines(self, list_of_data: Any) -> None:
        self.written += sum(map(len, list_of_data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class Peer:
    """A client's end of connections to a protocol.

    Args:
        make: makes the protocol of a connection.
    """

    def __init__(self, make: Make) -> None:
        self._config = uvicorn.Config(answer, ws="none", lifespan="off", log_config=None, access_log=False)
        self._config.load()
        self._make = make

    def protocol(self) -> HttpToolsProtocol:
        """The protocol of a connection to come."""
        return self._make(self._config, ServerState(), {}, _loop=asyncio.get_running_loop())

    def connect(self) -> tuple[HttpToolsProtocol, Nowhere]:
        """A connection."""
        made = self.protocol()
        transport = Nowhere()
        made.connection_made(transport)
        return made, transport


def _sent(make: Make, changed: AbstractContextManager[Any] | None = None) -> Work:
    async def work(count: int) -> None:
        with changed or nullcontext():
            protocol, transport = Peer(make).connect()
            for _ in range(count):
                protocol.data_received(REQUEST)
                while protocol.tasks:  # noqa: ASYNC110 - a task that ends tells nobody
                    await asyncio.sleep(0)
            assert transport.written == count * len(_ON_THE_WIRE)
            protocol.connection_lost(None)

    return work


def _over_a_socket(make: Make, changed: AbstractContextManager[Any] | None = None) -> Work:
    async def work(count: int) -> None:
        with changed or nullcontext():
            peer = Peer(make)
            server = await asyncio.get_running_loop().create_server(peer.protocol, "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                for _ in range(count):
                    writer.write(REQUEST)
                    assert await reader.readexactly(len(_ON_THE_WIRE)) == _ON_THE_WIRE
                writer.close()
                await writer.wait_closed()

    return work


def _opened(make: Make) -> Work:
    async def work(count: int) -> None:
        peer = Peer(make)
        for _ in range(count):
            peer.connect()[0].connection_lost(None)

    return work


class _WithoutHeads(BoundedProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads = _ANY

    def _parse(self, data: bytes) -> None:
        self.parser.feed_data(data)


class _AnyHead:
    def begins_with(self, _line: bytes, _fields: int) -> bool:
        return True


_ANY: Any = _AnyHead()


class _WithoutTimes(BoundedProtocol):
    def _expect_within(self, seconds: float) -> None: ...

    def _expect_nothing(self) -> None: ...


class _AtOnce(BoundedProtocol):
    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        HttpToolsProtocol._start_asgi_task(self, cycle, app)  # noqa: SLF001 - uvicorn's own, measured


class _WithoutOrder(BoundedProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unanswered = _NONE


class _Nothing:
    def append(self, _cycle: object) -> None: ...

    def popleft(self) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        return iter(())


_NONE: Any = _Nothing()


class _Plain(JoiningTransport):
    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def flush(self) -> None: ...


class _Unbounded(Connections):
    def __init__(self) -> None:
        super().__init__(0)

    def add(self, connection: Any, rejected: Any) -> None: ...

    def wait(self, connection: Any) -> None: ...

    def work(self, connection: Any) -> None: ...

    def remove(self, connection: Any) -> None: ...
