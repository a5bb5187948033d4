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
from functools import lru_cache
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
_LEAST, _MOST = 32, 10_000
"""Bytes of a value that is looked through for UUIDs; a longer one is no key of an index."""
_HEX = re.compile(rb"[0-9a-fA-F]{32}")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}\b")
_SPECIAL_TIMES = re.compile(rb"now|today|tomorrow|yesterday", re.IGNORECASE)
_LONGEST_TIME = 60


def value_of(term: Term, comparison: Comparison, values: Sequence[Bound]) -> Hashable:
    """The canonical value of a term where it meets a column that compares so; or ``NULL``, or ``UNKNOWN``."""
    if term.parameter is None:
        return canonical(comparison, term.constant)
    if term.parameter >= len(values):
        return UNKNOWN
    bound = values[term.parameter]
    if term.repeated and bound.type_oid == 0 and bound.format and comparison is Comparison.INTEGER:
        return UNKNOWN
    return canonical(comparison, bound)


def canonical(comparison: Comparison, bound: Bound) -> Hashable:
    """A bound value as a Python value that is equal to another just if PostgreSQL finds them equal."""
    data = bound.data
    if data is None:
        return NULL
    types, parse = _FORMS[comparison]
    return parse(data, bound) if bound.type_oid in types else UNKNOWN


def sent_forms(names: Mapping[Hashable, Hashable]) -> dict[bytes, bytes]:
    """The UUIDs among these and those in their place, in each of the forms in which drivers send them."""
    forms: dict[bytes, bytes] = {}
    for one, other in names.items():
        if isinstance(one, UUID) and isinstance(other, UUID):
            forms[one.bytes] = other.bytes
            for text in (str(one), one.hex):
                forms[text.encode()] = forms[text.upper().encode()] = str(other).encode()
    return forms


def renamed(sql: str, forms: Mapping[bytes, bytes]) -> str:
    """A statement in whose text UUIDs have the names that these forms give them, see `sent_forms`."""
    return _UUID.sub(lambda found: _named(found.group(), forms), sql) if _may_hold_uuid(sql) else sql


def renamed_within(data: bytes, forms: Mapping[bytes, bytes]) -> bytes:
    """The same for a bound value that is text: a key may be put together of an id and something else."""
    if not _LEAST <= len(data) <= _MOST:
        return data
    try:
        return renamed(data.decode(), forms).encode()
    except UnicodeDecodeError:
        return data


@lru_cache(maxsize=4096)
def _may_hold_uuid(sql: str) -> bool:
    return _UUID.search(sql) is not None


def _named(text: str, forms: Mapping[bytes, bytes]) -> str:
    name = forms.get(text.encode())
    return text if name is None else name.decode()


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
