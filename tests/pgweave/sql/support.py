"""Statements as a client sends them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from uuid import UUID

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import Access, Lock, Mode, Rows

ONE = UUID(int=1)
TWO = UUID(int=2)

_INT8, _TEXT, _UUID = 20, 25, 2950


def numbered(statement: str) -> str:
    """A statement of psycopg's as PostgreSQL sees it: each ``%s`` a ``$n``."""
    pieces = statement.split("%s")
    return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], 1))


def bound(value: object) -> Bound:
    """A value as psycopg binds it."""
    match value:
        case None:
            return Bound(0, 0, None)
        case UUID():
            return Bound(1, _UUID, value.bytes)
        case int():
            return Bound(1, _INT8, value.to_bytes(8, "big", signed=True))
        case str():
            return Bound(0, 0, value.encode())
    raise TypeError(f"no way to bind {value!r}")


def all_bound(values: Sequence[object]) -> list[Bound]:
    return [bound(value) for value in values]


def read(table: str, **columns: Hashable) -> Access:
    return Access(Mode.READ, Rows(table, columns))


def lock(strength: Lock, table: str, **columns: Hashable) -> Access:
    return Access(Mode.LOCK, Rows(table, columns), strength)


def release(strength: Lock, table: str, **columns: Hashable) -> Access:
    return Access(Mode.RELEASE, Rows(table, columns), strength)


def publish(table: str, **columns: Hashable) -> Access:
    return Access(Mode.PUBLISH, Rows(table, columns))
