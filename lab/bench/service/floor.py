"""What a capture costs at least in Python: the service's statements behind the barest HTTP, one event loop.

`python -m lab.bench.service.floor PORT` is no service. It has no rule, guard, limit, log, metric, task or
coroutine, and the same body in each answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID

import httptools
import uvloop
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, ExecStatus, Format, PGconn
from psycopg.pq.abc import PGresult

from lab.bench.service.database import AMOUNT_CENTS
from lab.bench.service.pgbench import BODY, SESSION
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import number_placeholders

SESSIONS = 10
_STATEMENTS = {
    b"begin": sql.BEGIN,
    b"lock": sql.LOCK_PAYMENT,
    b"find": sql.FIND_ATTEMPT,
    b"clock": sql.READ_CLOCK,
    b"update": sql.UPDATE_PAYMENT,
    b"insert": sql.INSERT_ATTEMPT,
    b"commit": sql.COMMIT,
    b"rollback": sql.ROLLBACK,
}
_AMOUNT, _STATUS = AMOUNT_CENTS.to_bytes(8, "big"), (201).to_bytes(2, "big")
_BODY = BODY.encode()
_CREATED, _REFUSED, _ALIVE = (
    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (line, len(body), body)
    for line, body in (
        (b"201 Created", _BODY),
        (b"409 Conflict", b"{}"),
        (b"200 OK", b"{}"),
    )
)

Statement = tuple[bytes, Sequence[bytes | None]]
Then = Callable[[Sequence[PGresult]], None]


class Session:
    """A session in pipeline mode, of which one batch is under way at a time."""

    def __init__(self, conninfo: str) -> None:
        self._pgconn = PGconn.connect(conninfo.encode())
        if self._pgconn.status != ConnStatus.OK:
            raise ConnectionError(self._pgconn.get_error_message())
        for name, statement in _STATEMENTS.items():
            self._pgconn.prepare(name, number_placeholders(statement))
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._found: list[PGresult] = []
        asyncio.get_running_loop().add_reader(self._pgconn.socket, self._received)

    def send(self, then: Then, *statements: Statement) -> None:
        """Send a batch; its results are given to ``then``."""
        self._then, self._found = then, []
        for name, values in statements:
            formats = [Format.BINARY] * len(values)
            self._pgconn.send_query_prepared(name, values, formats, Format.BINARY)
        self._pgconn.pipeline_sync()
        self._pgconn.flush()

    def _received(self) -> None:
        self._pgconn.consume_input()
        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                continue  # the end of what a statement gave
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._then(self._found)
                return
            self._found.append(result)


class Client(asyncio.Protocol):
    """A connection whose client waits for each answer. A POST is a capture, anything else asks for life."""

    def __init__(self, free: deque[Session], waiting: deque[Client]) -> None:
        self._free = free
        self._waiting = waiting
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._key = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """What is asked for."""
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        if name.lower() == b"idempotency-key":
            self._key = value

    def on_message_complete(self) -> None:
        """The request is there."""
        if self._parser.get_method() != b"POST":
            self._transport.write(_ALIVE)
        elif self._free:
            self.begin(self._free.popleft())
        else:
            self._waiting.append(self)

    def begin(self, session: Session) -> None:
        """Lock the payment, and read."""
        self._session = session
        self._id = payment = UUID(self._url.split(b"/")[2].decode()).bytes
        session.send(
            self._write,
            (b"begin", ()),
            (b"lock", (payment,)),
            (b"find", (payment, payment, self._key)),
            (b"clock", ()),
        )

    def _write(self, read: Sequence[PGresult]) -> None:
        if not read[1].ntuples:
            self._end(read)
            return
        authorized_at, expires_at = read[1].get_value(0, 4), read[1].get_value(0, 5)
        now = read[3].get_value(0, 0)
        event = int.from_bytes(read[2].get_value(0, 7) or b"", "big") + 1
        update = b"captured", authorized_at, expires_at, now, _AMOUNT, None, None, self._id
        insert = self._id, self._key, _AMOUNT, b"captured", now, _STATUS, _BODY, event.to_bytes(4, "big")
        self._session.send(self._end, (b"update", update), (b"insert", insert), (b"commit", ()))

    def _end(self, found: Sequence[PGresult]) -> None:
        ended = found[-1].command_status
        if ended not in {b"COMMIT", b"ROLLBACK"}:
            self._session.send(self._end, (b"rollback", ()))
            return
        self._transport.write(_CREATED if ended == b"COMMIT" else _REFUSED)
        if self._waiting:
            self._waiting.popleft().begin(self._session)
        else:
            self._free.append(self._session)


async def serve(port: int, dsn: str) -> None:
    """Serve on this machine until the process is ended."""
    conninfo = make_conninfo(dsn, options=SESSION)
    free = deque(Session(conninfo) for _ in range(SESSIONS))
    waiting: deque[Client] = deque()
    server = await asyncio.get_running_loop().create_server(lambda: Client(free, waiting), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), os.environ["DATABASE_URL"]))
