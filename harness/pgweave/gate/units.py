"""What a client sends, grouped into units: what goes to the server at once.

One that carries a statement ends with its Query, or with its Execute; a Sync that follows the Execute belongs
to it, for outside a transaction block that is the commit, of this statement and of those before it that came
without a Sync. In a pipeline each Execute gets a Flush instead, so that its answer comes before the next one
goes: a pipeline interleaves as finely as separate statements do. Parse and Bind go with their Execute,
because a query's snapshot is taken at the Bind. Where a client waits for their answer before it sends the
Execute, they are a unit that prepares: it may take a snapshot. The execution uses that of a Bind at every
level, and that of a Parse or a Describe only under REPEATABLE READ and SERIALIZABLE. A unit binds at most
once, and executes nothing else then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pgweave.gate import wire
from pgweave.gate.features import Features
from pgweave.gate.wire import Bound

COPY = (wire.COPY_DATA, wire.COPY_DONE, wire.COPY_FAIL)

ENDS_WITH = {wire.PARSE: b"1", wire.BIND: b"2", wire.CLOSE: b"3", wire.DESCRIBE: b"Tn"}
"""With what the answer to a message ends that executes nothing."""
PASSED_ON = frozenset((wire.PARSE, wire.BIND, wire.CLOSE, wire.QUERY, wire.FUNCTION_CALL, wire.SYNC))
"""The messages that are looked at where nothing is held."""
_ENDED_BY_READY = (wire.QUERY, wire.FUNCTION_CALL, wire.SYNC)
_WHOLE = frozenset((*_ENDED_BY_READY, wire.FLUSH, wire.TERMINATE, *COPY))

_LOOK_AHEAD_S = 0.05
"""How long an Execute outside a transaction block waits for what follows it: a Sync makes it commit. A client
that waits for the answer has sent something, so this only passes where it does something else in between."""


@dataclass(slots=True)
class Unit:
    """Messages that go to the server at once.

    Attributes:
        data: the messages.
        with_sync: whether they end with a Sync, or with what the server answers like one.
        sql: the text of the statement that they carry; ``None`` if they carry none.
        values: the values bound to its parameters.
        prepares: the text of the statement that they prepare, bind or describe, if they carry none.
        binds: whether they bind it: then the execution, which is still to come, uses the snapshot of now.
        ends: with what the answer to that ends, without a Sync.
    """

    data: bytes
    with_sync: bool
    sql: str | None = None
    values: tuple[Bound, ...] = ()
    prepares: str | None = None
    ends: bytes = wire.ENDS_STATEMENT
    binds: bool = False


class Units:
    """The messages of a client that have not gone on yet.

    Args:
        on_end_of_wait: called when an Execute has waited in vain for what follows it.
    """

    def __init__(self, on_end_of_wait: Callable[[], None]) -> None:
        self._on_end_of_wait = on_end_of_wait
        self._queue: deque[_Message] = deque()
        self._prepared = _Prepared()
        self._look_ahead: asyncio.TimerHandle | None = None
        self._looked_ahead = False

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, kind: int, data: bytes) -> None:
        """Take a message of the client."""
        message = _Message(kind, data)
        self._prepared.note(message)
        self._queue.append(message)

    def pass_on(self, messages: Iterable[tuple[int, bytes]], features: Features | None) -> int:
        """Take in messages that go on at once; how many of them are answered by ReadyForQuery."""
        ends = 0
        for kind, data in messages:
            if features is not None:
                features.note(kind, data)
            # What is bound to the unnamed portal is executed by what follows it, and that goes on as well.
            if kind in (wire.PARSE, wire.CLOSE) or (kind == wire.BIND and not data.startswith(b"\x00", 5)):
                self._prepared.note(_Message(kind, data))
            ends += kind in _ENDED_BY_READY
        return ends

    def next(self, *, in_block: bool) -> Unit | None:
        """Take the next unit; ``None`` if its end has not come, or may not have.

        Args:
            in_block: whether a transaction block is open: then no Sync can be a commit.
        """
        bound: _Message | None = None
        for index, message in enumerate(self._queue):
            kind = message.kind
            if bound is not None and message.begins_another(bound):
                return self._take(index, wire.FLUSH_MESSAGE, with_sync=False)
            if kind == wire.BIND:
                bound = message
            elif kind == wire.EXECUTE:
                return self._of_execute(index, in_block=in_block)
            if kind in _WHOLE:
                return self._take(index + 1, b"", with_sync=kind in _ENDED_BY_READY)
        return None

    def next_copy(self) -> bytes | None:
        """Take the next message, if it belongs to a COPY."""
        if self._queue and self._queue[0].kind in COPY:
            return self._queue.popleft().data
        return None

    def expect_no_more(self) -> None:
        """The client has gone: nothing follows what is there."""
        self._stop_looking()
        self._looked_ahead = True

    def _of_execute(self, index: int, *, in_block: bool) -> Unit | None:
        after = index + 1
        while after < len(self._queue) and self._queue[after].kind == wire.CLOSE:
            after += 1
        if after < len(self._queue):
            if self._queue[after].kind == wire.SYNC:
                return self._take(after + 1, b"", with_sync=True)
        elif not in_block and not self._looked_ahead:
            self._wait_for_more()
            return None
        return self._take(index + 1, wire.FLUSH_MESSAGE, with_sync=False)

    def _take(self, count: int, suffix: bytes, *, with_sync: bool) -> Unit:
        self._stop_looking()
        self._looked_ahead = False
        messages = [self._queue.popleft() for _ in range(count)]
        data = b"".join([message.data for message in messages]) + suffix
        for message in messages:
            if message.sql is not None:
                return Unit(data, with_sync, message.sql, message.values)
        bound = next((each for each in messages if each.kind == wire.BIND), None)
        described = (each.prepares for each in messages if each.prepares is not None)
        prepares = next(described, None) if bound is None else bound.prepares
        values = () if bound is None else bound.values
        answered = [ENDS_WITH[each.kind] for each in messages if each.kind in ENDS_WITH]
        ends = bytes((*answered[-1], wire.ERROR)) if answered else wire.ENDS_STATEMENT
        return Unit(data, with_sync, None, values, prepares, ends, bound is not None)

    def _stop_looking(self) -> None:
        if self._look_ahead is not None:
            self._look_ahead.cancel()
            self._look_ahead = None

    def _wait_for_more(self) -> None:
        def look_again() -> None:
            self._look_ahead = None
            self._looked_ahead = True
            self._on_end_of_wait()

        if self._look_ahead is None:
            self._look_ahead = asyncio.get_running_loop().call_later(_LOOK_AHEAD_S, look_again)


@dataclass(slots=True)
class _Message:
    kind: int
    data: bytes
    sql: str | None = None
    values: tuple[Bound, ...] = ()
    prepares: str | None = None
    portal: str | None = None

    def begins_another(self, bound: _Message) -> bool:
        """Whether a statement begins with it that is not the one that is bound."""
        if self.kind == wire.EXECUTE:
            return self.portal != bound.portal
        return self.kind in (wire.BIND, wire.QUERY, wire.FUNCTION_CALL)


@dataclass(slots=True)
class _Prepared:
    statements: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    portals: dict[str, tuple[str, tuple[Bound, ...]]] = field(default_factory=dict)

    def note(self, message: _Message) -> None:
        """Remember what a message prepares; say what it runs, makes ready or describes."""
        kind, data = message.kind, message.data
        if kind == wire.EXECUTE:
            message.portal = wire.first_string(data)
            message.sql, message.values = self.portals.get(message.portal, ("", ()))
        elif kind == wire.BIND:
            portal, name, formats, values = wire.bind_contents(data)
            sql, types = self.statements.get(name, ("", ()))
            message.portal, message.prepares = portal, sql
            message.values = wire.bound_values(formats, values, types)
            self.portals[portal] = (sql, message.values)
        elif kind == wire.DESCRIBE:  # it takes a snapshot, too, where the plan has become invalid
            what, name = wire.close_contents(data)
            message.prepares = (self.statements if what == "S" else self.portals).get(name, (None,))[0]
        elif kind == wire.PARSE:
            name, sql, types = wire.parse_contents(data)
            self.statements[name] = (sql, types)
            message.prepares = sql
        elif kind == wire.CLOSE:
            what, name = wire.close_contents(data)
            (self.statements if what == "S" else self.portals).pop(name, None)
        elif kind == wire.QUERY:
            message.sql = wire.query_text(data)
        elif kind == wire.FUNCTION_CALL:
            message.sql = "function call"
