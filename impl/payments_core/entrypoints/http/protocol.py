"""uvicorn's HTTP protocol, with bounds on what a connection may send, and on how long it may take."""

import asyncio
import socket
import struct
from collections import deque
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.limits import MAX_HEAD_BYTES

_HEAD_LIMIT_S = 10.0
_BODY_LIMIT_S = 30.0
_UNREAD_LIMIT_S = 10.0
_MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_PIPELINED = 64
_SLACK = 4 * 1024  # the request's line and what surrounds the fields; the exact limit is the application's


_HEAD, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"


class JoiningTransport:
    """Keeps the head of an answer until its body comes, so that both are one system call and one packet.

    Everything else it leaves to the transport.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, or keep for the next write or `flush`."""
        if not self._head and data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def flush(self) -> None:
        """Write what is kept."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write what is kept, and close."""
        self.flush()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request does not end in size or time, or whose answers are not read.

    The head has a size (431) and a time. The body and what follows it have too: the application refuses a
    body that is too large or too slow, but the parser would go on to swallow it. An answer that the client
    does not read ends the connection: the application has no hand on it any more.

    Of requests that were sent one after the other, each is answered in its turn, and what is no HTTP only
    after those before it: a 400 in the place of another answer would deny what has been done.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(*args, **kwargs)
        self._message_bytes = 0
        self._in_head = True
        self._arrival: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._was_unread = False
        self._unanswered: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and has some time to send the head of its first request."""
        self._joining = JoiningTransport(transport)
        super().connection_made(self._joining)  # type: ignore[arg-type] # it is one in all that is asked of it
        self._expect_within(_HEAD_LIMIT_S)
        self._reading = self.loop.call_later(_UNREAD_LIMIT_S, self._look_at_unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._expect_nothing()
        if self._reading is not None:
            self._reading.cancel()
        for cycle in self._unanswered:  # uvicorn tells the latest alone
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is more than a request has."""
        self._message_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._expect_the_rest()
        if self._in_head and self._message_bytes > MAX_HEAD_BYTES + _SLACK:
            self._refuse(_TOO_LARGE)
        elif self._message_bytes > _MAX_MESSAGE_BYTES or len(self.pipeline) > _MAX_PIPELINED:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is complete; the rest has its own time."""
        self._in_head = False
        self._expect_nothing()
        super().on_headers_complete()
        if self.cycle is not None:
            self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        """The next that comes is the head of another request."""
        super().on_message_complete()
        self._in_head = True
        self._message_bytes = 0
        self._expect_nothing()
        if self.cycle.response_complete:  # or else its answer will begin the time of the next
            self._expect_within(_HEAD_LIMIT_S)

    def on_response_complete(self) -> None:
        """The oldest request has been answered, if need be without a body."""
        self._joining.flush()
        self._unanswered.popleft()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: say so after the answers to the requests that came whole before it."""
        if not self._close_after_whole_requests():
            super().send_400_response(msg)

    def _refuse(self, answer: bytes) -> None:
        if not self._close_after_whole_requests():
            self.transport.write(answer)
            self.transport.close()

    def _close_after_whole_requests(self) -> bool:
        """Answer no more than the requests that came whole, if there are any; whether there are."""
        whole = [cycle for cycle in self._unanswered if not cycle.more_body]
        if not whole:
            return False
        whole[-1].keep_alive = False  # it closes the connection once it has been answered
        self.flow.pause_reading()
        return True

    def _look_at_unread(self) -> None:
        """End the connection if the client has left something unread at this look and the one before."""
        is_unread = self.transport.get_write_buffer_size() > 0
        if is_unread and self._was_unread:
            self._reset()
            return
        self._was_unread = is_unread
        self._reading = self.loop.call_later(_UNREAD_LIMIT_S, self._look_at_unread)

    def _reset(self) -> None:
        """Close at once. What is unsent is dropped by the system too, which would go on to offer it."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _expect_the_rest(self) -> None:
        """Give what has begun to come its time, which a request that came at once does not need."""
        if self._message_bytes == 0 or self._arrival is not None:
            return
        self._expect_within(_HEAD_LIMIT_S if self._in_head else _BODY_LIMIT_S)

    def _expect_within(self, seconds: float) -> None:
        self._arrival = self.loop.call_later(seconds, self._too_late)

    def _expect_nothing(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_late(self) -> None:
        self._arrival = None
        if not self.transport.is_closing() and not self._close_after_whole_requests():
            self.transport.close()


def _on_the_wire(response: Response) -> bytes:
    fields = [*response.raw_headers, problems.NO_SNIFFING, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % field for field in fields)
    return b"HTTP/1.1 %d \r\n%s\r\n%s" % (response.status_code, head, bytes(response.body))


_TOO_LARGE = _on_the_wire(
    problems.response(problems.HEAD_TOO_LARGE, f"a request's head has at most {MAX_HEAD_BYTES} bytes")
)
