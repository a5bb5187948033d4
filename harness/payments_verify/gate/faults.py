"""What can go wrong on the wire at one statement."""

from __future__ import annotations

import struct
from enum import Enum


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
        TOO_MANY_CONNECTIONS: with 53300, and closes the connection.
    """

    CUT_BEFORE = "cut before"
    HALF_SENT = "half sent"
    CUT_AFTER = "cut after"
    TERMINATED = "terminated"
    CANCELLED = "57014"
    SERIALIZATION_FAILURE = "40001"
    DEADLOCK = "40P01"
    TOO_MANY_CONNECTIONS = "53300"

    @property
    def is_refusal(self) -> bool:
        """Whether the server itself refuses the statement, and the connection lives on."""
        return self in (Fault.CANCELLED, Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK)


def refusing_messages(sqlstate: str) -> bytes:
    """Parse, Bind and Execute of a statement that fails with ``sqlstate`` in the server itself.

    Sent in a statement's place, they leave the transaction in the state that such an error leaves it in,
    which an answer made up by the gate would not.
    """
    sql = f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END $$".encode()
    parse = b"\x00" + sql + b"\x00" + struct.pack("!H", 0)
    bind = b"\x00\x00" + struct.pack("!HHH", 0, 0, 0)
    execute = b"\x00" + struct.pack("!i", 0)
    return b"".join(_message(kind, body) for kind, body in ((b"P", parse), (b"B", bind), (b"E", execute)))


def refusing_query(sqlstate: str) -> bytes:
    """The same as a simple Query."""
    sql = f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END $$".encode()
    return _message(b"Q", sql + b"\x00")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body
