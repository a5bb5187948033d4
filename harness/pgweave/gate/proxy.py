"""The listening side of the gate: connections from the service, each with one of its own to the server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, Self, cast

from pgweave.database_url import DatabaseUrl
from pgweave.gate import wire
from pgweave.gate.altered import Altered
from pgweave.gate.cancels import CancelRequests
from pgweave.gate.faults import Fault, error_of
from pgweave.gate.features import Feature, Features
from pgweave.gate.session import Session
from pgweave.gate.statement import HeldStatement
from pgweave.gate.units import Unit
from pgweave.gate.upstream import Upstream

_PORT = 5432  # names the Unix socket; no TCP port of that number is used


class GateObserver(Protocol):
    """Who decides what goes through the gate. Every method is called in the gate's event loop."""

    def decide_to_hold(self, session: Session) -> bool:
        """Decide whether the next statement of this connection is held."""

    def decide_to_hold_other(self, session: Session, unit: Unit) -> bool:
        """Decide whether what is no statement worth holding is held: what is prepared apart, or a Sync."""

    def held(self, statement: HeldStatement) -> None:
        """A statement has arrived, and waits to be released."""

    def answered(self, statement: HeldStatement) -> None:
        """The whole answer to a released statement has arrived."""

    def ended(self, session: Session) -> None:
        """A connection has closed, by whichever side."""


class PassAll:
    """Holds nothing: the gate is open."""

    def decide_to_hold(self, _session: Session) -> bool:
        """Never."""
        return False

    def decide_to_hold_other(self, _session: Session, _unit: Unit) -> bool:
        """Never."""
        return False

    def held(self, statement: HeldStatement) -> None:
        """Let it go at once."""
        statement.release()

    def answered(self, statement: HeldStatement) -> None:
        """Nothing to do."""

    def ended(self, session: Session) -> None:
        """Nothing to do."""


class Gate:
    """A proxy in front of one PostgreSQL server.

    Attributes:
        observer: decides what is held; ``PassAll`` until another is set.
        sessions: the open connections.
        socket_dsn: how a service on this machine connects through a Unix socket.
        tcp_dsn: how any service connects, through TCP on loopback.
        refuses_next: whether the next connection is refused, as by a server that has too many.
        features: what those have used of the protocol who came through TCP.
        alters_first: makes what a new connection is told first into something else, if it does.
        cancels: the requests to cancel that come.
        is_scheduling_point: whether a statement of a text is to be held; others pass.
    """

    def __init__(self, dsn: str, is_scheduling_point: Callable[[str], bool]) -> None:
        self.observer: GateObserver = PassAll()
        self.sessions: list[Session] = []
        self.socket_dsn = ""
        self.tcp_dsn = ""
        self.refuses_next = False
        self.features: set[Feature] = set()
        self.alters_first: Callable[[], Altered] | None = None
        self._upstream = Upstream.of(dsn)
        self.cancels = CancelRequests(self._upstream)
        self.is_scheduling_point = is_scheduling_point
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.WriteTransport] = set()
        self._has_ended = False

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, is_scheduling_point: Callable[[str], bool] = bool) -> AsyncIterator[Self]:
        """A gate in front of the server of ``dsn``, until the block ends.

        Args:
            dsn: the connection string of the database; the gate's own differ from it only in where they lead.
            is_scheduling_point: whether a statement of this text is to be held; others pass.

        Raises:
            OSError: if it cannot listen.
        """
        gate = cls(dsn, is_scheduling_point)
        with tempfile.TemporaryDirectory(prefix="pgweave-gate-") as folder:
            loop = asyncio.get_running_loop()
            path = Path(folder) / f".s.PGSQL.{_PORT}"
            unix = await loop.create_unix_server(lambda: _ClientSide(gate), path=path)
            tcp = await loop.create_server(lambda: _ClientSide(gate), host="127.0.0.1", port=0)
            port = tcp.sockets[0].getsockname()[1]
            url = DatabaseUrl.of(dsn).through(port)
            gate.socket_dsn = url.conninfo(host=folder, port=str(_PORT))
            gate.tcp_dsn = str(url)
            try:
                yield gate
            finally:
                unix.close()
                tcp.close()
                await gate.close()

    @property
    def is_open(self) -> bool:
        """Whether everything passes."""
        return type(self.observer) is PassAll

    def decide(self, session: Session, unit: Unit) -> bool:
        """Decide whether a unit is held: a statement, what is prepared apart, or a Sync."""
        if unit.sql is not None and self.is_scheduling_point(unit.sql):
            return self.observer.decide_to_hold(session)
        return self.observer.decide_to_hold_other(session, unit)

    def features_of(self, client: asyncio.WriteTransport) -> Features | None:
        """What notes a client's features; none for the Unix socket, through which mostly our own comes."""
        return Features(self.features) if isinstance(client.get_extra_info("sockname"), tuple) else None

    def ended(self, session: Session) -> None:
        """A connection has closed."""
        self.sessions.remove(session)
        self.observer.ended(session)

    async def close(self) -> None:
        """Close every connection, to the server and to clients, and of those who come still."""
        self._has_ended = True
        self.observer = PassAll()
        for task in self._tasks:
            task.cancel()
        for session in list(self.sessions):
            session.client_lost()
        for client in self._clients:
            client.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def came(self, client: asyncio.WriteTransport) -> None:
        """A client has connected."""
        self._clients.add(client)
        if self._has_ended:
            client.abort()

    def left(self, client: asyncio.WriteTransport) -> None:
        """A client's connection has closed."""
        self._clients.discard(client)

    def new_session(self, client: asyncio.WriteTransport, startup: bytes) -> Session:
        """Open a connection to the server for one that a client has begun."""
        self._numbers += 1
        session = Session(self, self._numbers, client)
        if self.alters_first is not None:
            session.answers.altered = self.alters_first()
        self.sessions.append(session)
        self._spawn(self._connect(session, client, startup))
        return session

    def cancel_request(self, packet: bytes, client: asyncio.WriteTransport) -> None:
        """A client asks to cancel a statement."""
        self._spawn(self.cancels.hand_on(packet, client))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, session: Session, client: asyncio.WriteTransport, startup: bytes) -> None:
        try:
            transport = await self._upstream.connect(lambda: _ServerSide(session))
        except OSError as error:
            client.write(wire.error_message("08006", f"the gate cannot reach the database: {error}"))
            client.close()
            return
        transport.write(startup)
        session.connected(transport)


class _ClientSide(asyncio.Protocol):
    """The first packets of a connection, then its session's."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._first = b""
        self._session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._gate.came(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            if self._session is None:
                self._first += data
                self._begin()
            else:
                self._hand_on(self._session, data)
        except wire.WireError as error:
            self._transport.write(wire.error_message("08P01", f"the gate does not understand: {error}"))
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._gate.left(self._transport)
        if self._session is not None and not self._session.closed:
            self._session.client_lost()

    def _begin(self) -> None:
        while self._session is None and (packet := wire.startup_packet(self._first)) is not None:
            code, startup, self._first = packet
            if code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
                self._transport.write(wire.REFUSE_ENCRYPTION)
            elif code == wire.CANCEL_REQUEST:
                self._gate.cancel_request(startup, self._transport)
                return
            elif self._gate.refuses_next:
                self._gate.refuses_next = False
                self._transport.write(error_of(Fault.TOO_MANY_CONNECTIONS))
                self._transport.close()
                return
            else:
                self._session = self._gate.new_session(self._transport, startup)
                self._session.block.note_sent(startup)
                rest, self._first = self._first, b""
                self._hand_on(self._session, rest)

    def _hand_on(self, session: Session, data: bytes) -> None:
        session.block.note_sent(data)
        session.from_client(data)


class _ServerSide(asyncio.Protocol):
    def __init__(self, session: Session) -> None:
        self._session = session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._session.from_server(data)
        except wire.WireError:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._session.server_lost()
