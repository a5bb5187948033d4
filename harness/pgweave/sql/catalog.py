"""What must be known of a database to understand its statements: tables, keys, triggers, functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pgweave.sql.values import Comparison

_HANDLER = re.compile(r"\bexception\s+when\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its name.
        comparison: how its values compare.
        default: the expression of its default, if any.
        is_identity: whether it takes its default from a sequence of its own.
        is_generated: whether it is computed from other columns.
    """

    name: str
    comparison: Comparison = Comparison.NONE
    default: str | None = None
    is_identity: bool = False
    is_generated: bool = False


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index.

    Attributes:
        label: its name in footprints.
        name: its name.
        columns: the key's columns; none if an expression is part of the key.
        involved: every column that the key or the predicate mentions.
        predicate: the condition of a partial index.
        nulls_distinct: whether two NULLs are different keys.
    """

    label: str
    name: str
    columns: tuple[str, ...]
    involved: frozenset[str]
    predicate: str | None = None
    nulls_distinct: bool = True

    @property
    def identifies(self) -> bool:
        """Whether setting its columns takes the strongest lock: a whole key of plain columns does."""
        return bool(self.columns) and self.predicate is None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key.

    Attributes:
        name: the constraint's name.
        table: the label of the referencing table.
        columns: the referencing columns.
        referenced: the label of the referenced table.
        referenced_columns: the referenced columns, in the same order.
        cascades: whether a change of the referenced row may change the referencing one.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    referenced: str
    referenced_columns: tuple[str, ...]
    cascades: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that a user defined.

    Attributes:
        name: its name.
        events: some of ``INSERT``, ``UPDATE``, ``DELETE``.
        columns: the columns that an ``UPDATE`` must set to fire it; none means any.
        is_row: whether it fires for each row.
        is_before: whether it fires before the change, which it may alter.
        is_deferred: whether it fires at the end of the transaction.
        function: schema and name of the function that it calls.
        condition: its ``WHEN`` clause, if any.
    """

    name: str
    events: frozenset[str]
    columns: frozenset[str]
    is_row: bool
    is_before: bool
    is_deferred: bool
    function: tuple[str, str]
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or anything else that has rows.

    Attributes:
        label: its name in footprints.
        schema: its schema.
        name: its name.
        columns: its columns by name, in their order.
        indexes: its unique indexes.
        foreign_keys: its foreign keys.
        referenced_by: the foreign keys that refer to it.
        triggers: its enabled triggers.
        expressions: what else is evaluated when a row is written: checks, generated columns, index
            expressions.
        unusual: why no statement on it is understood, if so.
        unusual_to_write: why no write to it is understood, if so.
    """

    label: str
    schema: str
    name: str
    columns: Mapping[str, Column]
    indexes: tuple[UniqueIndex, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    referenced_by: tuple[ForeignKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    expressions: tuple[str, ...] = ()
    unusual: str | None = None
    unusual_to_write: str | None = None

    @property
    def key_columns(self) -> frozenset[str]:
        """The columns that tell rows apart: those of unique indexes and foreign keys, at either end."""
        keys = [set(index.columns) for index in self.indexes]
        keys += [set(foreign.columns) for foreign in self.foreign_keys]
        keys += [set(foreign.referenced_columns) for foreign in self.referenced_by]
        return frozenset(set().union(*keys))


@dataclass(frozen=True, slots=True)
class Function:
    """A function outside ``pg_catalog``.

    Attributes:
        schema: its schema.
        name: its name.
        language: the language it is written in.
        volatility: ``i`` for immutable, ``s`` for stable, ``v`` for volatile.
        source: its body, ``None`` where that is not plain text.
        is_plain: whether it is a function and neither a procedure nor an aggregate.
        defaults: the expressions of its arguments' defaults.
    """

    schema: str
    name: str
    language: str
    volatility: str
    source: str | None
    is_plain: bool = True
    defaults: str = ""


@dataclass(frozen=True, eq=False)
class Catalog:
    """What a database holds. Plain data, which can be pickled; two catalogs are never equal.

    Names without a schema mean the only relation of that name in any schema, whatever the search path says. A
    statement whose name means several is not understood. After a change of the schema, read it again.

    Attributes:
        tables: tables, views and the like by label.
        names: the labels of all that have a name.
        functions: the functions outside ``pg_catalog`` by name.
        system_tables: the names of the tables of ``pg_catalog``.
        system_functions: the names of the functions of ``pg_catalog`` that do more than compute.
        implicit: names and expressions of what operators, casts and domains outside ``pg_catalog`` call.
        isolation: the isolation level of transactions that name none.
        clock_function: the name of the service's own clock; empty if it has none.
    """

    tables: Mapping[str, Table]
    names: Mapping[str, tuple[str, ...]]
    functions: Mapping[str, tuple[Function, ...]]
    system_tables: frozenset[str] = frozenset()
    system_functions: frozenset[str] = frozenset()
    implicit: tuple[str, ...] = ()
    isolation: str = "read committed"
    clock_function: str = ""

    @cached_property
    def handles_errors(self) -> bool:
        """Whether some function may go on after an error of its own statements."""
        sources = (function.source for each in self.functions.values() for function in each)
        return any(source is not None and _HANDLER.search(source) is not None for source in sources)

    def table(self, schema: str | None, name: str) -> Table | None:
        """The table that a name in a statement means; ``None`` if there is none, or more than one."""
        found = [self.tables[label] for label in self.names.get(name, ())]
        if schema is not None:
            found = [table for table in found if table.schema == schema]
        return found[0] if len(found) == 1 else None
