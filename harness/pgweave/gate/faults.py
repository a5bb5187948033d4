"""What can go wrong on the wire at one statement."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from pgweave.gate import wire
from pgweave.gate.units import Unit


class Fault(Enum):
    """A fault at a statement that is about to be released.

    Attributes:
        CUT_BEFORE: the connection is cut; the server never sees the statement.
        HALF_SENT: the connection is cut in the middle of the statement's messages.
        CUT_AFTER: the server executes the statement, and the connection is cut before its answer arrives. At
            a COMMIT this is the ambiguous commit.
        TERMINATED: an administrator ends the server process (``pg_terminate_backend``).
        CANCELLED: the server refuses the statement with 57014, as after a cancel request or a time limit.
        SERIALIZATION_FAILURE: with 40001.
        DEADLOCK: with 40P01.
        TOO_MANY_CONNECTIONS: the connection is cut, and the next one is refused with 53300.
        COMPLETION_UNKNOWN: the server carries a COMMIT out, and answers 40003. PostgreSQL does not; databases
            that speak its protocol and are distributed do.
    """

    CUT_BEFORE = "cut before"
    HALF_SENT = "half sent"
    CUT_AFTER = "cut after"
    TERMINATED = "terminated"
    CANCELLED = "57014"
    SERIALIZATION_FAILURE = "40001"
    DEADLOCK = "40P01"
    TOO_MANY_CONNECTIONS = "53300"
    COMPLETION_UNKNOWN = "40003"

    @property
    def is_refusal(self) -> bool:
        """Whether the server itself refuses the statement, and the connection lives on."""
        return self in (Fault.CANCELLED, Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK)

    @property
    def is_conflict(self) -> bool:
        """Whether only transactions that meet at a lock, or cannot be serialized, are refused so."""
        return self in (Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK)

    @property
    def is_carried_out(self) -> bool:
        """Whether the server executes the statement, and the client does not hear so."""
        return self in (Fault.CUT_AFTER, Fault.COMPLETION_UNKNOWN)


OF_POSTGRESQL = tuple(each for each in Fault if each is not Fault.COMPLETION_UNKNOWN)
"""What can go wrong with a PostgreSQL server."""

_MESSAGES = {
    Fault.CANCELLED: "canceling statement due to user request",
    Fault.SERIALIZATION_FAILURE: "could not serialize access due to concurrent update",
    Fault.DEADLOCK: "deadlock detected",
    Fault.TOO_MANY_CONNECTIONS: "sorry, too many clients already",
    Fault.COMPLETION_UNKNOWN: "result is ambiguous",
}
_FAILING = "SELECT 1/0"
_NO_PORTAL = b"pgweave_refuses"
_OURS = b"pgweave_before"


def error_of(fault: Fault) -> bytes:
    """The ErrorResponse with which the server tells of a fault."""
    severity = "FATAL" if fault is Fault.TOO_MANY_CONNECTIONS else "ERROR"
    return wire.error_message(fault.value, _MESSAGES[fault], severity)


@dataclass(slots=True)
class Refusal:
    """How the server's answer to a statement becomes that to a statement which it refused.

    Attributes:
        fault: what the client is told.
        codes: the errors that stand for it.
        completes: whether the end of the statement stands for it, too.
        hidden: the kinds of the answers that come first and are not the client's, in their order.
    """

    fault: Fault
    codes: frozenset[str] = frozenset({"22012", "34000"})
    completes: bool = False
    hidden: list[int] = field(default_factory=list)

    def shown(self, answers: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """What the client is shown of the server's answers."""
        for kind, message in answers:
            if self.hidden and kind == self.hidden[0]:
                self.hidden.pop(0)
            elif self._stands_for_it(kind, message):
                yield wire.ERROR, error_of(self.fault)
            else:
                yield kind, message

    def _stands_for_it(self, kind: int, message: bytes) -> bool:
        if kind == wire.COMMAND_COMPLETE:
            return self.completes
        return kind == wire.ERROR and wire.error_fields(message).get("C") in self.codes


def refused(unit: Unit, fault: Fault, before: str) -> tuple[Unit, Refusal]:
    """A unit that the server refuses in another's place, and what its answer becomes.

    The error is the server's own, so that it leaves the transaction, the statements that the client has
    prepared, and the rest of a pipeline as any error does. It only gets another name.

    Args:
        unit: the unit, with a statement.
        fault: what the client is told.
        before: SQL that the server executes first, of which the client is told nothing: ``ROLLBACK`` in the
            place of a COMMIT, for a transaction that fails there is over.
    """
    messages = wire.Frames().feed(unit.data)[1]
    place = next((index for index, each in enumerate(messages) if each[0] in _STATEMENTS), None)
    if place is None:  # a Sync that commits: a Query ends with what the client is told at a Sync, too
        place = len(messages) - 1
        messages[place] = (wire.QUERY, b"")
    kind, message = messages[place]
    first, ending = (b"".join(each for _, each in part) for part in (messages[:place], messages[place + 1 :]))
    if kind != wire.EXECUTE:
        failing = f"{before}; {_FAILING}" if before else _FAILING
        query = wire.message(b"Q", failing.encode() + b"\x00")
        hidden = [wire.COMMAND_COMPLETE] if before else []
        return Unit(first + query + ending, unit.with_sync), Refusal(fault, hidden=hidden)
    limit = message[-4:]
    execute = wire.message(b"E", _NO_PORTAL + b"\x00" + limit)
    data = (_executed(before) if before else b"") + first + execute + ending
    hidden = list(b"12C3") if before else []
    return Unit(data, unit.with_sync), Refusal(fault, hidden=hidden)


_STATEMENTS = (wire.EXECUTE, wire.QUERY, wire.FUNCTION_CALL)


def _executed(sql: str) -> bytes:
    """Parse, Bind, Execute and Close of a statement, under names that no client uses."""
    name = _OURS + b"\x00"
    return b"".join(
        (
            wire.message(b"P", name + sql.encode() + b"\x00" + struct.pack("!H", 0)),
            wire.message(b"B", name + name + struct.pack("!HHH", 0, 0, 0)),
            wire.message(b"E", name + struct.pack("!i", 0)),
            wire.message(b"C", b"S" + name),
        )
    )
