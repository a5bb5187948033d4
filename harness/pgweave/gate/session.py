"""One connection of the service: each of its statements is held until it is released.

What a client sends goes on in units, each with at most one statement. Units without a statement pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from pgweave.gate import wire
from pgweave.gate.answers import Answers, Expected
from pgweave.gate.block import Block
from pgweave.gate.faults import Fault, Refusal
from pgweave.gate.statement import HeldStatement
from pgweave.gate.strikes import go_on, strike
from pgweave.gate.units import COPY, ENDS_WITH, PASSED_ON, Unit, Units

if TYPE_CHECKING:
    from pgweave.gate.proxy import Gate

_COPY_IN, _COPY_BOTH = b"GW"
_FOLLOWED = frozenset((wire.READY, wire.KEY_DATA, _COPY_IN, _COPY_BOTH, wire.DATA_ROW, *wire.ENDS_STATEMENT))
"""The kinds of answers that change what is known of a connection: not the half that only describe."""
_FOLLOWED_APART = _FOLLOWED.union(b"".join(ENDS_WITH.values()))
"""The same where the answer ends with one that describes: to what is prepared apart."""
_PASSED = Expected(True, None)


class Session:
    """One connection through the gate.

    Attributes:
        gate: the gate.
        number: counts the gate's connections, from 1.
        pid: the server process behind it; 0 until the server has said so.
        owner: whoever uses it now, as the observer wants; the gate clears it when the connection is idle.
        held: the statement that waits to be released.
        awaiting: the statement that was released and has not been answered.
        prepared: the statement that was released and prepared apart, and whose execution is still to come.
        block: the transaction block.
        answers: what the client is given of the server's answers.
        closed: whether it has ended.
    """

    def __init__(self, gate: Gate, number: int, client: asyncio.WriteTransport) -> None:
        self.number = number
        self.pid = 0
        self.owner: object | None = None
        self.held: HeldStatement | None = None
        self.awaiting: HeldStatement | None = None
        self.prepared: HeldStatement | None = None
        self.block = Block()
        self.answers = Answers(client)
        self.closed = False
        self.gate = gate
        self._client = client
        self._server: asyncio.WriteTransport | None = None
        self._to_server: list[bytes] = []
        self._from_client = wire.Frames()
        self._features = gate.features_of(client)
        self._units = Units(self._pump)
        self._expected: deque[Expected] = deque()
        self._established = self._skipping = self._copying = self._passing = self._has_lost = False

    def __str__(self) -> str:
        return f"connection {self.number} (server process {self.pid})"

    @property
    def unfinished(self) -> int:
        """How many bytes have come from the client that are not a whole message."""
        return self._from_client.unfinished

    @property
    def idle(self) -> bool:
        """Whether nobody is in the middle of anything."""
        return not self.block.is_open and self.rests

    @property
    def rests(self) -> bool:
        """Whether no statement is under way; a transaction block may be open."""
        return not (self.held or self.awaiting or self.prepared or self._units or self._expected)

    # ---- from the client -------------------------------------------------------------------------

    def connected(self, server: asyncio.WriteTransport) -> None:
        """The connection to the server is there."""
        self._server = server
        server.writelines(self._to_server)
        self._to_server.clear()
        if self.closed:  # the client has gone meanwhile
            server.close()

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client, after the first packet.

        Raises:
            WireError: if they are no messages.
        """
        if self.closed:
            return
        if self.gate.is_open and self._established and self.rests and not self._copying:
            kinds = PASSED_ON if self._features is None else wire.EVERY_KIND
            passed, messages = self._from_client.feed(data, kinds)
            self._expected += [_PASSED] * self._units.pass_on(messages, self._features)
            if passed:
                self.send(passed)
            return
        for kind, message in self._from_client.feed(data)[1]:
            if self._established and self._features is not None:
                self._features.note(kind, message)
            if not self._established or (self._copying and kind in COPY):
                self.send(message)
                self._copying = self._copying and kind == wire.COPY_DATA
            else:
                self._units.add(kind, message)
        self._pump()

    def client_lost(self) -> None:
        """The client has gone: what it had sent goes to the server, which finds out by itself."""
        if self.closed:
            return
        self._units.expect_no_more()
        self._passing = True
        if self.held is not None:
            self.release(self.held)
        self.awaiting = self.prepared = None
        self._units.expect_no_more()
        self._pump()
        self._end()
        if self._server is not None:
            self._server.close()

    def release(self, statement: HeldStatement, fault: Fault | None = None, before: str = "") -> None:
        """Send a held statement to the server.

        Args:
            statement: the statement.
            fault: what goes wrong with it. For ``TERMINATED`` the server process has to be ended by the
                caller, who can ask the server for that; here nothing is sent.
            before: what the server executes before it refuses the statement, see `refused`.

        Raises:
            ValueError: if it is not held.
        """
        if self.held is not statement:
            raise ValueError(f"the statement is not held: {statement.sql}")
        self.held = None
        strike(self, statement, fault, before)

    def rename_error(self, code: str, fault: Fault) -> None:
        """Tell the client of a fault if the server ends the statement that it executes with this error."""
        self.answers.altered = Refusal(fault, frozenset({code}))

    def cut(self) -> None:
        """Cut the connection on both sides."""
        self._end()
        if self._server is not None:
            self._server.close()
        self._client.abort()

    def pass_everything(self) -> None:
        """Hold nothing any more, until told otherwise."""
        self.deliver()
        if self.held is not None:
            self.release(self.held)
        self._pump()

    def _pump(self) -> None:
        while self.held is None and self.awaiting is None and not self.closed:
            unit = self._units.next(in_block=self.block.is_open)
            if unit is None:
                return
            if self.prepared is not None and go_on(self, self.prepared, unit):
                continue
            if self._skipping or self._passing or not self.gate.decide(self, unit):
                self.forward(unit, None)
                continue
            self.held = HeldStatement.of(self, unit)
            self.gate.observer.held(self.held)

    def forward(self, unit: Unit, statement: HeldStatement | None) -> None:
        """Send a unit to the server, and expect the answer to the statement that it carries."""
        self.awaiting = statement
        if statement is not None or unit.with_sync:
            self._expected.append(Expected(unit.with_sync, statement, unit.ends))
        if unit.with_sync:
            self._skipping = False
        self.send(unit.data)

    def send(self, data: bytes) -> None:
        """Send bytes to the server, once it is there."""
        if self._server is None:
            self._to_server.append(data)
        else:
            self._server.write(data)

    # ---- from the server -------------------------------------------------------------------------

    def from_server(self, data: bytes) -> None:
        """Take bytes of the server.

        Raises:
            WireError: if they are no messages.
        """
        if self.closed:
            return
        apart = [each for each in self._expected if each.ends is not wire.ENDS_STATEMENT]
        for kind, message in self.answers.give(data, _FOLLOWED_APART if apart else _FOLLOWED):
            self._answer(kind, message)

    def deliver(self) -> None:
        """Give the client the answers that were kept, and keep no more."""
        if self._has_lost:
            self.cut()
        self.answers.deliver()

    def server_lost(self) -> None:
        """The server has closed the connection."""
        self.deliver()
        self._end()
        self._client.close()

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self.held = None
            self.gate.ended(self)

    def _answer(self, kind: int, message: bytes) -> None:
        if kind == wire.READY:
            self._ready(message)
        elif kind == wire.KEY_DATA:
            self.pid = int.from_bytes(message[5:9], "big")
        elif kind in (_COPY_IN, _COPY_BOTH):
            self._copying = True
            while (data := self._units.next_copy()) is not None:
                self.send(data)
        elif kind == wire.DATA_ROW:
            statement = self._expected[0].statement if self._expected else None
            if statement is not None:
                statement.rows = crc32(message, statement.rows)
        elif self._expected and kind in self._expected[0].ends:
            self._statement_ended(self._expected[0], kind, message)

    def _ready(self, message: bytes) -> None:
        self._established = True
        self._copying = False
        self.block.follow_ready(message[5:6])
        if self._expected:
            # An error may have skipped the statements before this Sync.
            while not (expected := self._expected.popleft()).with_sync:
                self._answered(expected.statement)
            self._answered(expected.statement)
        if not self.block.is_open:
            self.give_up_prepared()
        if self.idle:
            self.owner = None
        self._pump()

    def _statement_ended(self, expected: Expected, kind: int, message: bytes) -> None:
        statement = expected.statement
        if kind == wire.COMMAND_COMPLETE:
            tag = wire.first_string(message)
            self.block.follow_tag(tag, "" if statement is None else statement.sql)
            if statement is not None:
                statement.tag = tag
        elif kind == wire.ERROR and statement is not None:
            statement.error = wire.error_fields(message)
        if not expected.with_sync:
            self._skipping = kind == wire.ERROR
            self._expected.popleft()
            self._answered(statement)
            self._pump()

    def give_up_prepared(self) -> None:
        """What was prepared apart is not what is executed next: it was a step by itself."""
        statement, self.prepared = self.prepared, None
        if statement is not None:
            statement.answered = True
            self.gate.observer.answered(statement)

    def _answered(self, statement: HeldStatement | None) -> None:
        if statement is None:
            return
        if statement.prepares and statement.error is None and not self.answers.are_kept:
            self.prepared, self.awaiting = statement, None
            return
        statement.answered = True
        self.answers.altered = None
        if self.awaiting is statement:
            self.awaiting = None
        self.gate.observer.answered(statement)
        if self.answers.are_lost:
            self._has_lost = True
            if not self.answers.are_kept:
                self.cut()
