"""Messages of PostgreSQL's frontend/backend protocol, version 3 (PostgreSQL manual, chapter 55).

Only as much is read as the gate has to know: where a message ends, what statement it carries with which
values, and how a statement ended.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE = b"QPBDEC"
SYNC, FLUSH, FUNCTION_CALL, TERMINATE = b"SHFX"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"
DATA_ROW = ord("D")
COMMAND_COMPLETE, EMPTY_QUERY, PORTAL_SUSPENDED, ERROR, READY, KEY_DATA = b"CIsEZK"
NOTICE, PARAMETER_STATUS = b"NS"

ENDS_STATEMENT = bytes((COMMAND_COMPLETE, EMPTY_QUERY, PORTAL_SUSPENDED, ERROR))
"""What the answer to an Execute or a Query ends with."""
FLUSH_MESSAGE = b"H\x00\x00\x00\x04"
REFUSE_ENCRYPTION = b"N"

EVERY_KIND = range(256)

_LONGEST_MESSAGE = 256 * 1024 * 1024
_LONGEST_STARTUP = 10_000  # the server's own limit
_HEADER = 5
_NONE_SAID = (0,)
_head = struct.Struct("!BI").unpack_from
_count = struct.Struct("!H").unpack_from
_length = struct.Struct("!i").unpack_from


class WireError(ValueError):
    """Bytes that are no message of the protocol; says what was wrong."""


class Frames:
    """Splits a stream of bytes into messages, each with its type and length as it was sent."""

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._needed = 0

    @property
    def unfinished(self) -> int:
        """How many bytes have arrived of a message that is not complete."""
        return len(self._unfinished)

    def feed(self, data: bytes, kinds: Container[int] = EVERY_KIND) -> tuple[bytes, list[tuple[int, bytes]]]:
        """Take bytes, and give the messages that are complete with them.

        Args:
            data: the bytes.
            kinds: the types of the messages that are wanted one by one.

        Returns:
            All of the messages in one piece; and those that are wanted, each as (type, whole message).

        Raises:
            WireError: if a message claims a length that none has.
        """
        if self._unfinished:  # mostly not: then nothing is copied but what is wanted
            self._unfinished += data
            if len(self._unfinished) < self._needed:
                return b"", []
            data = bytes(self._unfinished)
            self._unfinished.clear()
        found: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while end - position >= _HEADER:
            kind, length = _head(data, position)
            if not 4 <= length <= _LONGEST_MESSAGE:
                raise WireError(f"a message of type {chr(kind)!r} claims {length} bytes")
            after = position + 1 + length
            if after > end:
                self._needed = after - position
                break
            if kind in kinds:
                found.append((kind, data[position:after]))
            position = after
        else:
            self._needed = _HEADER
        self._unfinished += data[position:]
        return data[:position], found


def startup_packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first packet of a connection, which has no type: (code, packet, the bytes after it).

    Returns:
        ``None`` while it is not complete.

    Raises:
        WireError: if it claims a length that none has.
    """
    if len(data) < 8:
        return None
    length, code = struct.unpack_from("!ii", data)
    if not 8 <= length <= _LONGEST_STARTUP:
        raise WireError(
            f"the first packet of a connection claims {length} bytes: is this PostgreSQL's protocol?"
        )
    return None if len(data) < length else (code, data[:length], data[length:])


class Bound(NamedTuple):
    """A value bound to a parameter.

    Attributes:
        format: 0 for text, 1 for binary.
        type_oid: the parameter's type as the client declared it; 0 if it did not.
        data: the value's bytes; ``None`` for NULL.
    """

    format: int
    type_oid: int
    data: bytes | None

    def __str__(self) -> str:
        if self.data is None:
            return "NULL"
        if self.format == 0:
            return self.data.decode(errors="backslashreplace")
        return f"0x{self.data.hex()}"


def query_text(message: bytes) -> str:
    """The SQL of a simple Query."""
    return message[_HEADER:-1].decode(errors="replace")


def parse_contents(message: bytes) -> tuple[str, str, tuple[int, ...]]:
    """Name, SQL and declared parameter types of a Parse.

    Raises:
        WireError: if the message is cut short.
    """
    name, position = _string(message, _HEADER)
    sql, position = _string(message, position)
    (count,) = _unpack("!H", message, position)
    return name, sql, _unpack(f"!{count}I", message, position + 2)


def bind_contents(message: bytes) -> tuple[str, str, tuple[int, ...], tuple[bytes | None, ...]]:
    """Portal, statement, formats and values of a Bind.

    Raises:
        WireError: if the message is cut short.
    """
    portal, position = _string(message, _HEADER)
    statement, position = _string(message, position)
    values: list[bytes | None] = []
    try:
        (count,) = _count(message, position)
        formats = struct.unpack_from(f"!{count}H", message, position + 2) if count else ()
        position += 2 + 2 * count
        (count,) = _count(message, position)
        position += 2
        for _ in range(count):
            (length,) = _length(message, position)
            position += 4
            if length < 0:
                values.append(None)
                continue
            values.append(message[position : position + length])
            position += length
            if position > len(message):
                raise WireError("a Bind message ends inside a value")
    except struct.error as error:
        raise WireError(f"a message is cut short: {error}") from None
    return portal, statement, formats, tuple(values)


def bound_values(
    formats: tuple[int, ...], values: tuple[bytes | None, ...], types: tuple[int, ...]
) -> tuple[Bound, ...]:
    """Values with their formats and types; one format may stand for all, none means text."""
    count = len(values)
    formats = formats * count if len(formats) == 1 else formats + _NONE_SAID * (count - len(formats))
    return tuple(map(Bound, formats, types + _NONE_SAID * (count - len(types)), values))


@lru_cache(maxsize=256)
def first_string(message: bytes) -> str:
    """The string that a message begins with: an Execute's portal, a CommandComplete's tag."""
    return _string(message, _HEADER)[0]


@lru_cache(maxsize=256)
def close_contents(message: bytes) -> tuple[str, str]:
    """What a Close closes: ``S`` or ``P``, and the name."""
    return chr(message[_HEADER]), _string(message, _HEADER + 1)[0]


def error_fields(message: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letters: ``C`` the SQLSTATE, ``M`` the message."""
    parts = message[_HEADER:].split(b"\x00")
    return {chr(part[0]): part[1:].decode(errors="replace") for part in parts if part}


def error_message(code: str, text: str, severity: str = "FATAL") -> bytes:
    """An ErrorResponse; a server closes the connection after one of severity FATAL."""
    return message(b"E", _told({"C": code, "M": text}, severity))


def notice_message(fields: Mapping[str, str], severity: str) -> bytes:
    """A NoticeResponse of these fields, by their letters."""
    return message(b"N", _told(fields, severity))


def parameter_status(name: str, value: str) -> bytes:
    """A ParameterStatus: a setting has this value."""
    return message(b"S", f"{name}\x00{value}\x00".encode())


def row_values(message: bytes) -> list[bytes | None]:
    """The values of a DataRow.

    Raises:
        WireError: if the message is cut short.
    """
    (count,) = _unpack("!H", message, _HEADER)
    values: list[bytes | None] = []
    position = _HEADER + 2
    for _ in range(count):
        (length,) = _unpack("!i", message, position)
        position += 4
        values.append(None if length < 0 else message[position : position + length])
        position += max(length, 0)
    return values


def data_row(values: Sequence[bytes | None]) -> bytes:
    """A DataRow of these values."""
    null = struct.pack("!i", -1)
    sent = (null if each is None else struct.pack("!i", len(each)) + each for each in values)
    return message(b"D", struct.pack("!H", len(values)) + b"".join(sent))


def _told(fields: Mapping[str, str], severity: str) -> bytes:
    named = {"S": severity, "V": severity, **fields}
    return b"".join(f"{letter}{text}\x00".encode() for letter, text in named.items()) + b"\x00"


def message(kind: bytes, body: bytes) -> bytes:
    """A message of a type."""
    return kind + struct.pack("!i", 4 + len(body)) + body


def _string(message: bytes, position: int) -> tuple[str, int]:
    end = message.find(b"\x00", position)
    if end < 0:
        raise WireError("a message ends inside a string")
    return message[position:end].decode(errors="replace"), end + 1


def _unpack(layout: str, message: bytes, position: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, message, position)
    except struct.error as error:
        raise WireError(f"a message is cut short: {error}") from None
