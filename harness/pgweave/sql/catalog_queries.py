"""The queries that read a `Catalog`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

import psycopg

from pgweave.sql.catalog import Catalog, Column, ForeignKey, Function, Table, Trigger, UniqueIndex
from pgweave.sql.values import Comparison

_CONNECT_LIMIT_S = 10
# test_clock is the harness's own: its functions stand in for the clocks of the system, under the same names.
_OURS = (
    "namespace.nspname NOT IN ('pg_catalog', 'information_schema', 'test_clock')"
    " AND namespace.nspname !~ '^pg_(toast|temp)'"
)

_RELATIONS = f"""
    SELECT relation.oid::bigint AS oid, namespace.nspname AS schema, relation.relname AS name,
           CASE
               WHEN relation.relkind = 'v' THEN 'is a view'
               WHEN relation.relkind = 'm' THEN 'is a materialized view'
               WHEN relation.relkind = 'p' OR relation.relispartition THEN 'is partitioned'
               WHEN relation.relkind = 'S' THEN 'is a sequence'
               WHEN relation.relkind <> 'r' THEN 'is no ordinary table'
               WHEN EXISTS (SELECT FROM pg_inherits WHERE relation.oid IN (inhrelid, inhparent))
                   THEN 'inherits'
               WHEN relation.relhasrules THEN 'has rules'
               WHEN relation.relrowsecurity THEN 'has row security'
           END AS unusual,
           ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE conrelid = relation.oid AND contype = 'c')
           || ARRAY(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute
                    ON (attrelid, attnum) = (adrelid, adnum)
                    WHERE adrelid = relation.oid AND attgenerated <> '')
           || ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index
                    WHERE indrelid = relation.oid AND (indexprs IS NOT NULL OR indpred IS NOT NULL))
               AS expressions
    FROM pg_class AS relation JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_OURS}
"""  # noqa: S608 - built from constants
_COLUMNS = """
    SELECT attrelid::bigint AS table_, attname AS name, atttypid::bigint AS type_, atttypmod AS modifier,
           coalesce(collation_.collisdeterministic, true) AND NOT EXISTS (
               SELECT FROM pg_index, unnest(indkey::int2[], indcollation::oid[]) AS key (place, used)
               JOIN pg_collation AS in_index ON in_index.oid = used AND NOT in_index.collisdeterministic
               WHERE indrelid = attrelid AND place = attnum) AS is_deterministic,
           CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END AS default_,
           attidentity <> '' AS is_identity, attgenerated <> '' AS is_generated
    FROM pg_attribute
    LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
    LEFT JOIN pg_collation AS collation_ ON collation_.oid = attcollation
    WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""
_INDEXES = """
    SELECT indrelid::bigint AS table_, relname AS name, indexprs IS NOT NULL AS has_expressions,
           pg_get_expr(indpred, indrelid) AS predicate, NOT indnullsnotdistinct AS nulls_distinct,
           ARRAY(SELECT attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = key.attnum
                 WHERE place <= indnkeyatts ORDER BY place) AS columns,
           ARRAY(SELECT attname::text FROM pg_depend JOIN pg_attribute
                     ON (attrelid, attnum) = (refobjid, refobjsubid)
                 WHERE classid = 'pg_class'::regclass AND objid = indexrelid AND refobjid = indrelid)
               AS depends_on, indimmediate AS is_immediate
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = ANY(%s) AND (indisunique OR indisexclusion)
"""
_EXCLUSIONS = "SELECT DISTINCT conrelid::bigint FROM pg_constraint WHERE contype = 'x'"
_FOREIGN_KEYS = """
    SELECT conname AS name, conrelid::bigint AS table_, confrelid::bigint AS referenced,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute ON attrelid = conrelid AND pg_attribute.attnum = key.attnum
                 ORDER BY place) AS columns,
           ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute ON attrelid = confrelid AND pg_attribute.attnum = key.attnum
                 ORDER BY place) AS referenced_columns,
           confdeltype NOT IN ('a', 'r') OR confupdtype NOT IN ('a', 'r') AS cascades,
           condeferrable AS is_deferrable
    FROM pg_constraint WHERE contype = 'f'
"""
_TRIGGERS = """
    SELECT tgrelid::bigint AS table_, tgname AS name, tgtype::int AS type_, tginitdeferred AS is_deferred,
           function_.proname AS function_name, schema_.nspname AS function_schema,
           pg_get_triggerdef(pg_trigger.oid) AS definition,
           ARRAY(SELECT attname::text FROM pg_attribute
                 WHERE attrelid = tgrelid AND attnum = ANY(tgattr::int2[])) AS columns
    FROM pg_trigger
    JOIN pg_proc AS function_ ON function_.oid = tgfoid
    JOIN pg_namespace AS schema_ ON schema_.oid = function_.pronamespace
    WHERE NOT tgisinternal AND tgenabled <> 'D'
"""
_FUNCTIONS = f"""
    SELECT namespace.nspname AS schema, proname AS name, lanname AS language, provolatile::text AS volatility,
           CASE WHEN prosqlbody IS NULL AND lanname IN ('sql', 'plpgsql') THEN prosrc END AS source,
           prokind = 'f' AS is_plain, coalesce(pg_get_expr(proargdefaults, 0), '') AS defaults
    FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
    JOIN pg_namespace AS namespace ON namespace.oid = pronamespace
    WHERE {_OURS}
"""  # noqa: S608 - built from constants
_SYSTEM_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace
"""
# Stable functions of the system that tell more than their arguments and the settings of the session.
_SYSTEM_FUNCTIONS = """
    SELECT DISTINCT proname FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
      AND (provolatile = 'v' OR provolatile = 's'
           AND proname ~ '_to_xml|_snapshot|^txid|xact_id|mxid|^pg_stat_|^pg_get_replication|^pg_event_')
"""
_IMPLICIT = f"""
    SELECT proname::text FROM pg_operator JOIN pg_proc ON pg_proc.oid = oprcode
        JOIN pg_namespace AS namespace ON namespace.oid = oprnamespace WHERE {_OURS}
    UNION SELECT proname::text FROM pg_cast JOIN pg_proc ON pg_proc.oid = castfunc
        JOIN pg_namespace AS namespace ON namespace.oid = pronamespace WHERE {_OURS}
    UNION SELECT proname::text FROM pg_type JOIN pg_namespace AS namespace ON namespace.oid = typnamespace
        JOIN pg_proc ON pg_proc.oid IN (typinput, typoutput, typreceive, typsend)
        WHERE {_OURS} AND pronamespace <> 'pg_catalog'::regnamespace
    UNION SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid <> 0 AND contype = 'c'
"""  # noqa: S608 - built from constants

_CONDITION = re.compile(r" WHEN \((.*)\) EXECUTE (?:FUNCTION|PROCEDURE) ", re.DOTALL)
_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE"}

Row = dict[str, Any]


def read_catalog(dsn: str, clock_function: str = "") -> Catalog:
    """Read the catalog of a database; takes some ten milliseconds.

    Args:
        dsn: Connection string of a role that may connect. What the catalogs say, every role may read.
        clock_function: The name of the service's own clock, whose readings are the clock's; may be empty.

    Raises:
        psycopg.Error: The connection failed.
    """
    with psycopg.connect(
        dsn, connect_timeout=_CONNECT_LIMIT_S, row_factory=psycopg.rows.dict_row
    ) as connection:
        # Only with nothing visible but the system are all names in expressions printed in full.
        connection.execute("SET search_path = pg_catalog")
        relations = _rows(connection, _RELATIONS)
        labels = _labels(relations)
        tables = _Tables(connection, labels).read(relations)
        functions = defaultdict(list)
        for row in _rows(connection, _FUNCTIONS):
            functions[row["name"]].append(Function(**row))
        names = defaultdict(list)
        for table in tables.values():
            names[table.name].append(table.label)
        return Catalog(
            tables=tables,
            names={name: tuple(found) for name, found in names.items()},
            functions={name: tuple(overloads) for name, overloads in functions.items()},
            system_tables=_first_column(connection, _SYSTEM_TABLES),
            system_functions=_first_column(connection, _SYSTEM_FUNCTIONS),
            implicit=tuple(sorted(_first_column(connection, _IMPLICIT))),
            isolation=str(_first(connection, "SHOW default_transaction_isolation")),
            clock_function=clock_function,
        )


class _Tables:
    """Everything about tables, each query for all of them."""

    def __init__(self, connection: psycopg.Connection[Row], labels: dict[int, str]) -> None:
        oids = list(labels)
        self._labels = labels
        self._columns = _by_table(_rows(connection, _COLUMNS, oids))
        self._indexes = _by_table(_rows(connection, _INDEXES, oids))
        self._triggers = _by_table(_rows(connection, _TRIGGERS))
        self._foreign_keys = _rows(connection, _FOREIGN_KEYS)
        self._exclusions = _first_column(connection, _EXCLUSIONS)

    def read(self, relations: list[Row]) -> dict[str, Table]:
        """The tables by label."""
        return {self._labels[relation["oid"]]: self._table(relation) for relation in relations}

    def _table(self, relation: Row) -> Table:
        oid = relation["oid"]
        return Table(
            label=self._labels[oid],
            schema=relation["schema"],
            name=relation["name"],
            columns={row["name"]: _column(row) for row in self._columns[oid]},
            indexes=tuple(self._index(oid, row) for row in self._indexes[oid]),
            foreign_keys=tuple(self._foreign_key(row) for row in self._foreign_keys if row["table_"] == oid),
            referenced_by=tuple(
                self._foreign_key(row) for row in self._foreign_keys if row["referenced"] == oid
            ),
            triggers=tuple(_trigger(row) for row in self._triggers[oid]),
            expressions=tuple(relation["expressions"]),
            unusual=relation["unusual"],
            unusual_to_write=self._unusual_to_write(oid),
        )

    def _index(self, oid: int, row: Row) -> UniqueIndex:
        columns = () if row["has_expressions"] else tuple(row["columns"])
        return UniqueIndex(
            label=self._labels[oid].removesuffix(self._labels[oid].split(".")[-1]) + row["name"],
            name=row["name"],
            columns=columns,
            involved=frozenset(row["columns"]) | frozenset(row["depends_on"]),
            predicate=row["predicate"],
            nulls_distinct=row["nulls_distinct"],
        )

    def _foreign_key(self, row: Row) -> ForeignKey:
        return ForeignKey(
            name=row["name"],
            table=self._labels[row["table_"]],
            columns=tuple(row["columns"]),
            referenced=self._labels[row["referenced"]],
            referenced_columns=tuple(row["referenced_columns"]),
            cascades=row["cascades"],
        )

    def _unusual_to_write(self, oid: int) -> str | None:
        if oid in self._exclusions:
            return "has an exclusion constraint"
        if not all(row["is_immediate"] for row in self._indexes[oid]):
            return "has a deferrable unique constraint"
        foreign_keys = [row for row in self._foreign_keys if oid in (row["table_"], row["referenced"])]
        if any(row["is_deferrable"] for row in foreign_keys):
            return "has a deferrable foreign key, or is referred to by one"
        if any(column["is_generated"] for column in self._columns[oid]):
            return "has generated columns"
        return None


def _labels(relations: list[Row]) -> dict[int, str]:
    """Names for footprints: without a schema where that is clear."""
    times = Counter(relation["name"] for relation in relations)
    return {
        relation["oid"]: relation["name"]
        if times[relation["name"]] == 1
        else f"{relation['schema']}.{relation['name']}"
        for relation in relations
    }


def _column(row: Row) -> Column:
    return Column(
        name=row["name"],
        comparison=_comparison(row["type_"], row["modifier"], is_deterministic=row["is_deterministic"]),
        default=row["default_"],
        is_identity=row["is_identity"],
        is_generated=row["is_generated"],
    )


def _comparison(type_oid: int, modifier: int, *, is_deterministic: bool) -> Comparison:
    match type_oid:
        case 20 | 21 | 23:
            return Comparison.INTEGER
        case 2950:
            return Comparison.UUID
        case 17:
            return Comparison.BYTES
        case 25 | 1043 if is_deterministic:
            return Comparison.TEXT if modifier < 0 else Comparison.LIMITED_TEXT
        case _:
            return Comparison.NONE


def _trigger(row: Row) -> Trigger:
    condition = _CONDITION.search(row["definition"])
    return Trigger(
        name=row["name"],
        events=frozenset(event for bit, event in _EVENTS.items() if row["type_"] & bit),
        columns=frozenset(row["columns"]),
        is_row=bool(row["type_"] & 1),
        is_before=bool(row["type_"] & 2),
        is_deferred=row["is_deferred"],
        function=(row["function_schema"], row["function_name"]),
        condition=condition and condition.group(1),
    )


def _rows(connection: psycopg.Connection[Row], query: str, oids: list[int] | None = None) -> list[Row]:
    return connection.execute(query.encode(), None if oids is None else [oids]).fetchall()


def _first_column(connection: psycopg.Connection[Row], query: str) -> frozenset[Any]:
    return frozenset(next(iter(row.values())) for row in _rows(connection, query))


def _first(connection: psycopg.Connection[Row], query: str) -> object:
    return next(iter(_first_column(connection, query)))


def _by_table(rows: list[Row]) -> defaultdict[int, list[Row]]:
    result: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        result[row["table_"]].append(row)
    return result
