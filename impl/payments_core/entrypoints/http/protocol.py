"""uvicorn's HTTP protocol, with bounds on the head of a request: how long, and for how long."""

import asyncio
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.limits import MAX_HEAD_BYTES

_HEAD_LIMIT_S = 10.0
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
    """Ends a connection whose request's head does not end: in size (431), or in time.

    The parser keeps a field until it is complete, however large it grows, and waits for it forever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and has some time to send the head of its first request."""
        self._joining = JoiningTransport(transport)
        super().connection_made(self._joining)  # type: ignore[arg-type] # it is one in all that is asked of it
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is more than a head has."""
        if self._in_head and self._head_timer is None:
            self._start_timer()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES + _SLACK and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is complete: time and size of the rest are the application's to limit."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The answer is complete, if need be without a body."""
        self._joining.flush()
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """The next that comes is the head of another request."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_LIMIT_S, self._too_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.close()


def _on_the_wire(response: Response) -> bytes:
    fields = [*response.raw_headers, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % field for field in fields)
    return b"HTTP/1.1 %d \r\n%s\r\n%s" % (response.status_code, head, bytes(response.body))


_TOO_LARGE = _on_the_wire(
    problems.response(problems.HEAD_TOO_LARGE, f"a request's head has at most {MAX_HEAD_BYTES} bytes")
)
