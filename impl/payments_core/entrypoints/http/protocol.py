"""uvicorn's HTTP protocol, with bounds on what a connection may send, and on how long it may take."""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.heads import Heads
from payments_core.entrypoints.http.joining import JoiningTransport
from payments_core.entrypoints.http.limits import MAX_HEAD_BYTES
from payments_core.entrypoints.http.observed import REJECTED
from payments_core.entrypoints.http.parsing import BODY_LIMIT
from payments_core.entrypoints.http.targets import read_target, set_host

_HEAD_LIMIT_S = 10.0
_BODY_LIMIT_S = 30.0
_UNREAD_LIMIT_S = 10.0
_ENDING_LIMIT_S = 2.0
_MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_PIPELINED = 64
_SLACK = 4 * 1024  # the request's line and what surrounds the fields; the exact limit is the application's
_VERSIONS = {"1.1", "1.0"}


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request does not end in size or time, or whose answers are not read.

    The head has a size (431) and a time, as have the body that the application refused and what follows it.
    Nor has the application a hand on an answer that is not read.

    A request is worked on once it is there as a whole, or larger than it may be, and the answers before it
    have been taken, so that nobody holds a place by being slow. Each is answered in its turn, and what is no
    HTTP after those before it: a 400 in the place of another answer would deny what has been done. An offer
    of another protocol is passed over, and its body read.
    """

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._rejected: Callable[[str], None] = self.app_state.get(REJECTED, lambda _: None)
        self._heads = Heads(MAX_HEAD_BYTES + _SLACK)
        self._message_bytes = 0
        self._in_head = True
        self._is_ending = self._is_refused = False
        self._arrival: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._was_unread, self._unread_limit_s = False, _UNREAD_LIMIT_S
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._next: tuple[RequestResponseCycle, Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and has some time to send the head of its first request."""
        self._joining = JoiningTransport(transport)
        super().connection_made(self._joining)  # type: ignore[arg-type] # it is one in all that is asked of it
        self._expect_within(_HEAD_LIMIT_S)
        self._reading = self.loop.call_later(self._unread_limit_s, self._look_at_unread)
        self._connections.add(self, self._rejected)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._connections.remove(self)
        self._expect_nothing()
        self._next = None
        if self._reading is not None:
            self._reading.cancel()
        for cycle in self._unanswered:  # uvicorn tells the latest alone
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; refuse a request that is too large or malformed."""
        self._unset_keepalive_if_required()
        self._message_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(_NO_HTTP, "malformed_http")
        if self._is_refused or self.transport.is_closing():
            return
        if self._message_bytes > 0 and self._arrival is None:  # the rest of it is to come
            self._expect_within(_HEAD_LIMIT_S if self._in_head else _BODY_LIMIT_S)
        if self._in_head and self._message_bytes > MAX_HEAD_BYTES + _SLACK:
            self._refuse(_TOO_LARGE, "head_too_large")
        elif self._message_bytes > _MAX_MESSAGE_BYTES:
            self._rejected("body_too_large")
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        """Parse. At an offer of another protocol the parser stops, as if the request had no body.

        Another one is given the request's head once more, without the offer, and then what follows it.
        """
        for part in self._heads.parts(data):
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade:
                head = self._heads.replace(self._request_line(), self.headers, without=b"upgrade")
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                self.parser.feed_data(head)
        if self._message_bytes == 0:  # nothing has begun
            self._heads.last = b""

    def _request_line(self) -> bytes:
        """The request line in HTTP's own form, rebuilt from what the parser read."""
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)

    def on_message_begin(self) -> None:
        """A request has begun, perhaps in the packet in which the one before it ended."""
        super().on_message_begin()
        self._message_bytes = self._message_bytes or 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field has come; spaces behind its value are no part of it (RFC 9112, section 5.1)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head is complete; its time limit ends here, and the body has its own.

        Raises:
            httptools.HttpParserError: where the request ends could be doubted, or too many wait already.
            ValueError: there can be no such target.
        """
        if not self._heads.begins_with(self._request_line(), len(self.headers)):
            raise httptools.HttpParserError("another protocol, or another line than it was taken for")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("there are no tunnels here")
            return  # see `_parse`
        version = self.parser.get_http_version()
        if version not in _VERSIONS or len(self.pipeline) >= _MAX_PIPELINED:
            raise httptools.HttpParserError("not to be served")
        if version == "1.0":
            self.expect_100_continue = False  # its client would take a 100 for the answer
            if any(name == b"transfer-encoding" for name, _ in self.headers):
                raise httptools.HttpParserError("there are no chunks in HTTP/1.0")
        authority, self.url = read_target(self.url)
        if authority is not None:  # it says more than Host (RFC 9112, 3.2.2)
            set_host(self.headers, authority, version)
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False
        self._in_head = False
        self._expect_nothing()
        self.headers = []  # the trailers' own: they are no fields of the request
        self._unanswered.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        super().on_body(body)
        if self._next is not None and len(self.cycle.body) > BODY_LIMIT:
            self._begin_next()

    def on_message_complete(self) -> None:
        """The next that comes is the head of another request."""
        if self.parser.should_upgrade():
            return  # see `_parse`
        super().on_message_complete()
        self.cycle.keep_alive &= self.parser.should_keep_alive()  # a trailer may end it: no more is read
        self._in_head = True
        self._message_bytes = 0
        self._expect_nothing()
        if self.cycle.response_complete:  # or else its answer will begin the time of the next
            self._expect_within(_HEAD_LIMIT_S if self.cycle.keep_alive else 0)
        self._begin_next()

    def resume_writing(self) -> None:
        """The client has read what was sent."""
        super().resume_writing()
        self._begin_next()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - the base class's
        is_to_come = cycle.more_body and len(cycle.body) <= BODY_LIMIT  # as much as is needed to refuse it
        if is_to_come or self.flow.write_paused:
            if cycle.waiting_for_100_continue and not self.flow.write_paused:
                # Of who is told it is known that the body comes, whatever the answer will be.
                cycle.waiting_for_100_continue = False
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._next = cycle, app
            return
        self._connections.work(self)
        super()._start_asgi_task(cycle, app)

    def _begin_next(self) -> None:
        if self._next is not None:
            following, self._next = self._next, None
            self._start_asgi_task(*following)

    def on_response_complete(self) -> None:
        """The oldest request has been answered, if need be without a body."""
        self._joining.flush()
        self._unanswered.popleft()
        self._connections.wait(self)
        super().on_response_complete()
        if self._message_bytes > 0:  # the next one has begun, and has the time of its head
            self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        """The process is about to end: answer complete requests, and give the rest little time."""
        self._is_ending = True
        has_begun = self._in_head and self._message_bytes > 0
        if not self._close_after_whole_requests() and not has_begun:
            super().shutdown()
        if self._arrival is not None:
            self._expect_nothing()
            self._expect_within(_ENDING_LIMIT_S)
        if self._reading is not None:
            self._reading.cancel()
        self._was_unread, self._unread_limit_s = False, _ENDING_LIMIT_S
        self._look_at_unread()

    def _refuse(self, answer: bytes, reason: str) -> None:
        """Answer this after the requests that came whole, unless it would be a second answer to one."""
        if not self._is_refused:  # or else more has come, while a request before it is worked on
            self._rejected(reason)
        self._is_refused = True
        if self._close_after_whole_requests():
            return
        if self._in_head or not self.cycle.response_started:
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
            self._rejected("unread_answer")
            self.give_way()
            return
        self._was_unread = is_unread
        self._reading = self.loop.call_later(self._unread_limit_s, self._look_at_unread)

    def give_way(self) -> None:
        """Close at once, and have the system drop unsent bytes, which it would otherwise keep sending."""
        if self.transport.get_write_buffer_size() > 0:
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def refuse(self) -> None:
        """Say that there is no room, and close."""
        self.transport.write(_NO_ROOM)
        with suppress(OSError):  # bytes that nobody reads would have the system reset the connection
            os.read(self.transport.get_extra_info("socket").fileno(), MAX_HEAD_BYTES + BODY_LIMIT)
        self.transport.close()

    def _expect_within(self, seconds: float) -> None:
        self._arrival = self.loop.call_later(seconds, self._too_late)

    def _expect_nothing(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_late(self) -> None:
        self._arrival = None
        if self.transport.is_closing():
            return
        if self._message_bytes > 0:
            self._refuse(_TOO_LATE, "request_timeout")
        elif not self._close_after_whole_requests():
            self.transport.close()


_NO_HTTP = problems.on_the_wire(
    problems.MALFORMED_HTTP, "the request is not HTTP/1.1, or leaves room for doubt where it ends"
)
_TOO_LATE = problems.on_the_wire(
    problems.REQUEST_TIMEOUT,
    f"a head has {_HEAD_LIMIT_S:g} s to arrive, and a body {_BODY_LIMIT_S:g} s; {_ENDING_LIMIT_S:g} s where "
    "the process is about to end; nothing was done",
)
_TOO_LARGE = problems.on_the_wire(
    problems.HEAD_TOO_LARGE, f"a request's head has at most {MAX_HEAD_BYTES} bytes"
)
_NO_ROOM = problems.on_the_wire(
    problems.OVERLOADED,
    "too many connections are worked on; nothing was done: send the same request again",
    problems.RETRY_AFTER,
)
