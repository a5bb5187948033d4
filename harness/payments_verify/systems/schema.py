"""The schema of the service's database as PostgreSQL describes it, with the comments on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
from psycopg.rows import dict_row

from payments_verify.systems.database import migrated_database

# The migrations' own book-keeping is none of the specification's.
_OURS = "!~ '^_?yoyo'"
_TABLES = f"""
    SELECT relname AS name, coalesce(obj_description(oid, 'pg_class'), '') AS comment,
           (SELECT jsonb_agg(jsonb_build_object(
                       'name', attname, 'type', format_type(atttypid, atttypmod), 'required', attnotnull,
                       'default', coalesce(pg_get_expr(adbin, adrelid), ''))
                   ORDER BY attnum)
            FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
            WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped) AS columns
    FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
      AND relname {_OURS} AND NOT relispartition
    ORDER BY oid
"""  # noqa: S608 - built from constants
_GUARDS = f"""
    SELECT conrelid::regclass::text AS table, conname AS name,
           coalesce(obj_description(oid, 'pg_constraint'), '') AS comment, 1 AS rank, oid
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u') AND conparentid = 0
      AND conrelid::regclass::text {_OURS}
  UNION ALL
    SELECT indrelid::regclass::text, relname,
           coalesce(obj_description(indexrelid, 'pg_class'), ''), 2, indexrelid
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
  UNION ALL
    SELECT tgrelid::regclass::text, tgname,
           coalesce(obj_description(oid, 'pg_trigger'), ''), 3, oid
    FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL
    SELECT '', proname,
           coalesce(obj_description(oid, 'pg_proc'), ''), 4, oid
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  ORDER BY rank, oid
"""  # noqa: S608 - built from constants


class Column(msgspec.Struct, frozen=True):
    """A column: its type as SQL, whether it is ``NOT NULL``, and its default."""

    name: str
    type: str
    required: bool
    default: str


class Table(msgspec.Struct, frozen=True):
    """A table, its comment and its columns in their order."""

    name: str
    comment: str
    columns: tuple[Column, ...]


class Guard(msgspec.Struct, frozen=True):
    """What the database itself refuses or does: a constraint, an index, a trigger, a function.

    Attributes:
        table: whose it is; empty for a function.
        name: its name.
        comment: the ids of the invariants that it holds, a colon and what it says; or what it is for.
    """

    table: str
    name: str
    comment: str


class Schema(msgspec.Struct, frozen=True):
    """The tables, and what guards them."""

    tables: tuple[Table, ...]
    guards: tuple[Guard, ...]


def read_schema(bin_dir: Path | None = None) -> Schema:
    """The schema after all migrations, read from a database that is made for it.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with migrated_database(bin_dir) as dsn:
        return schema_of(dsn)


def schema_of(dsn: str) -> Schema:
    """The schema of a database that was migrated."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        tables = connection.execute(_TABLES).fetchall()
        guards: Sequence[object] = connection.execute(_GUARDS).fetchall()
    return Schema(msgspec.convert(tables, tuple[Table, ...]), msgspec.convert(guards, tuple[Guard, ...]))
