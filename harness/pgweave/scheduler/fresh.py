"""Names for ids that are new in each run: those that the service or its database has made.

Each gets the next number when it is first met. Runs in which the same processes were chosen meet them in the
same order, so that a step has the same footprint in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

from pgweave.interleavings.footprint import Access, Footprint, Rows
from pgweave.sql.catalog import Catalog, Column

_DRAWN = re.compile(r"(?=.*[0-9]|.*[a-z].*[A-Z]|.*[A-Z].*[a-z])[\w-]{16,128}")
"""What a text looks like that is drawn anew in each run: a UUID, ``pi_3MtwBwLkdIwHu7ix``, a digest."""

Place: TypeAlias = tuple[str, str]
"""The label of a table or an index, and a column."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """An id that was made in this run.

    Attributes:
        kind: whose ids it is one of.
        number: counts them, in the order in which they were met.
    """

    kind: str
    number: int


class FreshNames:
    """Gives the ids of a run their names.

    Args:
        known: the ids that have names already.
        catalog: the schema; ``None`` where there is none.
    """

    def __init__(self, known: Mapping[Hashable, Hashable], catalog: Catalog | None) -> None:
        self._ids = _ids(frozenset(known.values()), catalog)
        self._names: dict[tuple[str, Hashable], Fresh] = {}
        self._renamed: dict[Footprint, Footprint] = {}

    def renamed(self, footprint: Footprint) -> Footprint:
        """The footprint with names in the place of ids; in all runs one object for equal ones without ids."""
        found = _without_ids(footprint, self._ids) or self._renamed.get(footprint)
        if found is None:
            found = self._renamed[footprint] = self._with_names(footprint)
        return found

    def _with_names(self, footprint: Footprint) -> Footprint:
        accesses = sorted(footprint.accesses, key=_order)
        return Footprint(frozenset(map(self._access, accesses)), footprint.everything)

    def _access(self, access: Access) -> Access:
        columns = {name: self._name(access.rows, name, value) for name, value in _items(access)}
        return Access(access.mode, Rows(access.rows.table, columns), access.lock)

    def _name(self, rows: Rows, column: str, value: Hashable) -> Hashable:
        kind = self._ids.kind(rows, column, value)
        if kind is None:
            return value
        number = sum(each == kind for each, _ in self._names)
        return self._names.setdefault((kind, value), Fresh(kind, number))


class _Ids:
    """Tells ids that are new in a run from other values.

    Args:
        known: ids that are the same in each run.
        catalog: the schema; ``None`` where there is none.
    """

    def __init__(self, known: frozenset[Hashable], catalog: Catalog | None) -> None:
        uuids = [each for each in known if isinstance(each, UUID)]
        self._known_numbers = frozenset(each.int for each in uuids)  # a UUID's own hash is slow
        self._known_texts = known.difference(uuids).union(map(str, uuids))
        self._generated = {} if catalog is None else generated_columns(catalog)

    def kind(self, rows: Rows, column: str, value: Hashable) -> str | None:
        """Whose ids a value is one of; ``None`` if it is none."""
        if isinstance(value, UUID):
            return None if value.int in self._known_numbers else "id"
        if isinstance(value, str):
            return "id" if _DRAWN.fullmatch(value) and value not in self._known_texts else None
        return self._generated.get((rows.table, column)) if isinstance(value, int) else None


@lru_cache(maxsize=16)
def _ids(known: frozenset[Hashable], catalog: Catalog | None) -> _Ids:
    return _Ids(known, catalog)


@lru_cache(maxsize=16_384)
def _without_ids(footprint: Footprint, ids: _Ids) -> Footprint | None:
    """The footprint itself if it has no ids, so that it need not be looked through in each run."""
    columns = ((access.rows, *item) for access in footprint.accesses for item in access.rows.columns.items())
    return None if any(ids.kind(*each) for each in columns) else footprint


@lru_cache(maxsize=16)
def generated_columns(catalog: Catalog) -> Mapping[Place, str]:
    """The columns that hold numbers from a sequence, in tables and their indexes, with whose they are."""
    found = {
        (table.label, column.name): f"{table.label}.{column.name}"
        for table in catalog.tables.values()
        for column in table.columns.values()
        if _is_generated(column)
    }
    foreign_keys = [foreign for table in catalog.tables.values() for foreign in table.foreign_keys]
    for _ in foreign_keys:  # a foreign key may lead to another
        for foreign in foreign_keys:
            for mine, theirs in zip(foreign.columns, foreign.referenced_columns, strict=True):
                if whose := found.get((foreign.referenced, theirs)):
                    found.setdefault((foreign.table, mine), whose)
    for table in catalog.tables.values():
        for index in table.indexes:
            for column in index.columns:
                if whose := found.get((table.label, column)):
                    found[index.label, column] = whose
    return found


def _is_generated(column: Column) -> bool:
    return column.is_identity or (column.default or "").startswith("nextval(")


def _items(access: Access) -> list[tuple[str, Hashable]]:
    return sorted(access.rows.columns.items())


def _order(access: Access) -> tuple[str, int, list[tuple[str, str]]]:
    return access.rows.table, access.mode.value, [(name, str(value)) for name, value in _items(access)]
