"""Values of columns that may be compared: a canonical Python value for each, or none.

A bound value is bytes, in text or binary format, of a type that the client may have left to the server. Two
of them that look different may be equal. So a value is only used where the column's type decides what
equality is and every form that the client may have sent has one canonical Python value; all others are
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from uuid import UUID

from pgweave.gate.wire import Bound


class Comparison(Enum):
    """How values of a column compare.

    Attributes:
        INTEGER: as integers.
        UUID: as UUIDs.
        TEXT: byte by byte.
        LIMITED_TEXT: byte by byte, but trailing spaces may have been cut off.
        BYTES: byte by byte.
        NONE: in no way that is known here.
    """

    INTEGER = auto()
    UUID = auto()
    TEXT = auto()
    LIMITED_TEXT = auto()
    BYTES = auto()
    NONE = auto()


class _Special(Enum):
    UNKNOWN = auto()
    NULL = auto()


UNKNOWN = _Special.UNKNOWN
NULL = _Special.NULL


_NULL_CONSTANT = Bound(0, 0, None)


@dataclass(frozen=True, slots=True)
class Term:
    """A value in a statement: a parameter or a constant.

    Attributes:
        parameter: the parameter's index from 0, or ``None`` for a constant.
        constant: a constant as the bound value of no declared type that means the same.
        repeated: whether the parameter occurs more than once, so that another place may have decided its
            type.
    """

    parameter: int | None = None
    constant: Bound = _NULL_CONSTANT
    repeated: bool = False


_INTEGER_OIDS = frozenset({0, 20, 21, 23})
_TEXT_OIDS = frozenset({0, 25, 705, 1043})
_UUID_OIDS = frozenset({0, 25, 705, 1043, 2950})
_BYTES_OIDS = frozenset({0, 17})
_INTEGER = re.compile(rb"\s*[+-]?[0-9]+\s*")
_MOST = 10_000
"""Bytes of a value that is looked through for ids; a longer one is no key of an index."""
_HEX = re.compile(rb"[0-9a-fA-F]{32}")
_WRITTEN_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})(?![0-9A-Za-z])"
)
_SPECIAL_TIMES = re.compile(rb"now|today|tomorrow|yesterday", re.IGNORECASE)
_LONGEST_TIME = 60


def value_of(term: Term, comparison: Comparison, values: Sequence[Bound]) -> Hashable:
    """The canonical value of a term where it meets a column that compares so; or ``NULL``, or ``UNKNOWN``."""
    if term.parameter is None:
        return canonical(comparison, term.constant)
    if term.parameter >= len(values):
        return UNKNOWN
    bound = values[term.parameter]
    if term.repeated and bound.type_oid == 0 and _may_be_of_another_type(bound, comparison):
        return UNKNOWN
    return canonical(comparison, bound)


def _may_be_of_another_type(bound: Bound, comparison: Comparison) -> bool:
    """Whether a place that wants a number or a UUID may have decided how it is read and then written."""
    data = bound.data or b""
    if comparison is Comparison.INTEGER:
        return bool(bound.format)
    if comparison not in (Comparison.TEXT, Comparison.LIMITED_TEXT):
        return False
    number = _INTEGER.fullmatch(data) and str(int(data)).encode() != data
    uuid = _HEX.fullmatch(data.translate(None, b"-{}")) and not _WRITTEN_UUID.fullmatch(data)
    return bool(number or uuid or b"\0" in data)  # no text has a zero byte


def canonical(comparison: Comparison, bound: Bound) -> Hashable:
    """A bound value as a Python value that is equal to another just if PostgreSQL finds them equal."""
    data = bound.data
    if data is None:
        return NULL
    types, parse = _FORMS[comparison]
    return parse(data, bound) if bound.type_oid in types else UNKNOWN


class SentNames:
    """Names for ids that are new in each run, in each of the forms in which drivers send such ids.

    Args:
        names: UUIDs, texts and whole numbers, each with another of its kind that stands in its place. No
            number may stand for something else in a statement.
    """

    def __init__(self, names: Mapping[Hashable, Hashable]) -> None:
        self._written: dict[str, str] = {}
        self._uuids: set[str] = set()
        self._named: dict[str, str] = {}
        self._binary: dict[bytes, bytes] = {}
        for one, other in names.items():
            match one, other:
                case UUID(), UUID():
                    self._binary[one.bytes] = other.bytes
                    for text in (str(one), one.hex):
                        self._written[text] = self._written[text.upper()] = str(other)
                        self._uuids |= {text, text.upper()}
                case str(), str():
                    self._written[one] = other
                case int(), int():
                    self._written[str(one)] = str(other)
                    sizes = (size for size in (4, 8) if one.bit_length() < 8 * size)
                    self._binary.update({one.to_bytes(size): other.to_bytes(size) for size in sizes})

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Made when a text has an id that is no UUID: the ids are new in each run, and it takes its time."""
        words = "|".join(map(re.escape, self._written))
        return re.compile(f"(?<![0-9A-Za-z])({words})(?![0-9A-Za-z])")

    @cached_property
    def _shortest(self) -> int:
        return min(map(len, (*self._written, *self._binary)), default=_MOST)

    def in_text(self, sql: str) -> str:
        """A statement, or another text, in which ids have their names."""
        found = self._named.get(sql)
        if found is None:
            found = self._named[sql] = self._written.get(sql) or self._replaced(sql)
        return found

    def _replaced(self, sql: str) -> str:
        present = {each for each in self._written if each in sql}
        if not present:
            return sql
        pattern = _UUID if present <= self._uuids else self._pattern
        return pattern.sub(lambda found: self._written.get(found[0], found[0]), sql)

    def in_value(self, bound: Bound) -> Bound:
        """The same for a bound value; a key may be put together of an id and something else."""
        data = bound.data
        if data is None or not self._shortest <= len(data) <= _MOST:
            return bound
        name = self._binary.get(data)
        if name is None:
            try:
                name = self.in_text(data.decode()).encode()
            except UnicodeDecodeError:
                return bound
        return bound if name == data else Bound(bound.format, bound.type_oid, name)


def may_name_present(values: Sequence[Bound]) -> bool:
    """Whether some value may be a time that PostgreSQL takes from the transaction's start, as ``'now'``."""
    return any(
        value.data is not None and len(value.data) <= _LONGEST_TIME and _SPECIAL_TIMES.search(value.data)
        for value in values
    )


def _uuid(data: bytes, bound: Bound) -> Hashable:
    if bound.format and bound.type_oid in (0, 2950):
        return UUID(bytes=data) if len(data) == 16 else UNKNOWN
    digits = data.translate(None, b"-{}")
    return UUID(digits.decode()) if _HEX.fullmatch(digits) else UNKNOWN


def _text(data: bytes, _: Bound) -> Hashable:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return UNKNOWN


def _limited_text(data: bytes, bound: Bound) -> Hashable:
    return UNKNOWN if data.endswith(b" ") else _text(data, bound)


def _integer(data: bytes, bound: Bound) -> Hashable:
    if bound.format:
        return int.from_bytes(data, "big", signed=True) if len(data) in (2, 4, 8) else UNKNOWN
    return int(data) if _INTEGER.fullmatch(data) else UNKNOWN


def _bytes(data: bytes, bound: Bound) -> Hashable:
    if bound.format:
        return data
    try:
        return bytes.fromhex(data[2:].decode()) if data.startswith(b"\\x") else UNKNOWN
    except (ValueError, UnicodeDecodeError):
        return UNKNOWN


# The types in which a value may be declared, and how it is read.
_FORMS: dict[Comparison, tuple[frozenset[int], Callable[[bytes, Bound], Hashable]]] = {
    Comparison.INTEGER: (_INTEGER_OIDS, _integer),
    Comparison.UUID: (_UUID_OIDS, _uuid),
    Comparison.TEXT: (_TEXT_OIDS, _text),
    Comparison.LIMITED_TEXT: (_TEXT_OIDS, _limited_text),
    Comparison.BYTES: (_BYTES_OIDS, _bytes),
    Comparison.NONE: (frozenset(), _text),
}
