"""What drivers and pools ask for themselves is no step; what moves or locks something is one."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from pgweave.interleavings.footprint import EVERYTHING, NOTHING
from pgweave.sql.catalog import Catalog, Function, Table
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point
from pgweave.sql.housekeeping import _DESCRIBE
from pgweave.sql.transactions import TransactionFootprint
from tests.support.postgres import Database

# What drivers and ORMs send once per process or per connection, abridged where only length is lost.
LOOK_UPS = {
    "a ping": "/* ping */ SELECT 1 AS alive;",
    "a constant": "SELECT 'x', NULL, true",
    "pgJDBC": "SELECT version()",
    "TypeORM": "SELECT * FROM current_schema()",
    "Hibernate": "select current_schema()",
    "SQLAlchemy": "select pg_catalog.version()",
    "SQLAlchemy's tables": "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class"
    " JOIN pg_catalog.pg_namespace"
    " ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace"
    " WHERE pg_catalog.pg_class.relname = $1::VARCHAR"
    " AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid)",
    "psycopg": "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype"
    " FROM pg_type t WHERE t.oid = to_regtype($1) ORDER BY t.oid",
    "postgres.js": "select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b"
    " on b.oid = a.typelem where a.typcategory = 'A' group by b.oid, b.typarray order by b.oid",
    "Sequel": "SELECT CAST(current_setting('server_version_num') AS integer) AS v",
    "Sequel's keys": "SELECT pg_attribute.attname AS pk FROM pg_class, pg_attribute, pg_index, pg_namespace"
    " WHERE pg_class.oid = pg_attribute.attrelid AND pg_class.relnamespace = pg_namespace.oid"
    " AND pg_index.indkey[0] = pg_attribute.attnum AND pg_index.indisprimary = 't'"
    """ AND pg_class.oid = CAST(CAST('"payments"' AS regclass) AS oid)""",
    "Rails": "SELECT t.oid, t.typname, r.rngsubtype FROM pg_type as t"
    " LEFT JOIN pg_range as r ON oid = rngtypid"
    " WHERE t.typname IN ('int2') OR t.typinput = 'array_in(cstring,oid,integer)'::regprocedure",
    "Rails's columns": "SELECT a.attname, format_type(a.atttypid, a.atttypmod), "
    "pg_get_expr(d.adbin, d.adrelid),"
    " col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a LEFT JOIN pg_attrdef d"
    """ ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attrelid = '"payments"'::regclass""",
    "Django": "SELECT set_config('TimeZone', 'UTC', false)",
    "asyncpg": "WITH RECURSIVE tree(oid, depth) AS (SELECT t.oid, 0 FROM pg_catalog.pg_type AS t"
    " WHERE t.oid = any($1::oid[]) UNION ALL SELECT t.oid, tt.depth + 1 FROM pg_type t, tree tt"
    " WHERE t.typelem = tt.oid) SELECT DISTINCT *, oid::regtype::text AS name FROM tree ORDER BY depth DESC",
    "information_schema": "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_name = 'x')",
    "cursors": "CLOSE ALL; UNLISTEN *; RESET ALL",
    "settings": "SET client_min_messages TO warning; SET application_name = 'web.17'",
}
MOVES_SOMETHING = [
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_catalog.pg_try_advisory_xact_lock(1) FROM pg_type",
    "SELECT set_config('transaction_isolation', 'serializable', true)",
    "SELECT set_config($1, $2, false)",
    "SET transaction_isolation = 'serializable'",
    "SELECT nextval('numbers')",
    """SELECT "nextval"('numbers')""",
    "SELECT setval('numbers', 1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_sleep(1)",
    "SELECT lo_create(0)",
    "SELECT txid_current()",
    "SELECT current_timestamp",
    "SELECT 'now'::timestamptz",
    "SELECT payment_clock()",
    "SELECT * FROM payments_of('a')",
    "SELECT count(*) FROM pg_locks",
    "SELECT state FROM pg_stat_activity",
    "SELECT last_value FROM pg_sequences",
    "SELECT relname FROM pg_class, payments",
    "SELECT relname FROM pg_class WHERE EXISTS (SELECT FROM payments)",
    "SELECT * FROM other.pg_type",
    "SELECT * FROM pg_class FOR UPDATE",
    "WITH gone AS (DELETE FROM payments RETURNING 1) SELECT * FROM gone",
    "TABLE payments",
    "DISCARD ALL",
    "SELECT pg_advisory_unlock_all()",
    "SELECT has_room(1)",
    "SELECT * FROM has_room(1)",
    "SELECT post_is_visible(5)",
    "SELECT pg_get_sequence_data('numbers')",
    "SELECT app.replace(1, 'x')",
    'SELECT "app"."has_table_privilege"(1)',
    "SELECT app.tree(1) FROM (WITH tree AS (SELECT 1) SELECT FROM tree) AS t",
]
USERS = {
    "SELECT has_table_privilege(1)": True,
    "SELECT replace(1, 'x')": True,
    "SELECT replace('a', 'b', 'c')": True,
    "SELECT c.replace FROM pg_class AS c": True,
    "SELECT min(relname) FROM pg_class": False,
    "SELECT relname FROM pg_am": True,
    "SELECT relname FROM pg_catalog.pg_am": False,
}
"""What is a step where users' functions look at a table as ``replace``, and compute as ``min``."""

RESETS = ["DISCARD ALL", "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"]


@pytest.mark.parametrize("driver", LOOK_UPS)
def test_what_a_driver_asks_for_itself_is_no_step(driver: str) -> None:
    assert not is_scheduling_point(LOOK_UPS[driver])


@pytest.mark.parametrize("sql", MOVES_SOMETHING)
def test_what_moves_or_locks_something_is_a_step(sql: str) -> None:
    assert is_scheduling_point(sql)


@pytest.mark.parametrize("sql", USERS)
def test_a_users_function_may_have_the_name_of_one_of_the_systems(sql: str) -> None:
    looks = Function("app", "replace", "sql", "s", "SELECT count(*) FROM public.payments")
    named = replace(looks, name="has_table_privilege")
    computes = replace(looks, name="min", source="SELECT $1")
    table = Table("pg_am", "app", "pg_am", {})
    catalog = Catalog(
        tables={"pg_am": table},
        names={"pg_am": ("pg_am",)},
        functions={each.name: (each,) for each in (looks, named, computes)},
    )
    assert is_scheduling_point(sql, catalog) is USERS[sql]


@pytest.mark.parametrize("driver", LOOK_UPS)
def test_what_a_driver_asks_is_no_step_where_the_catalog_is_known(
    driver: str, shared_database: Database
) -> None:
    assert not is_scheduling_point(LOOK_UPS[driver], read_catalog(shared_database.dsn, "payment_clock"))


def test_nothing_that_describes_is_volatile(shared_database: Database) -> None:
    query = (
        "SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY(%s) AND provolatile <> 'v' AND"
        " pronamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    )
    with psycopg.connect(shared_database.dsn) as db:
        found = {name for (name,) in db.execute(query, [list(_DESCRIBE)])}
    # Those are of later versions.
    assert found >= _DESCRIBE - {"has_largeobject_privilege", "pg_get_acl", "to_regtypemod"}


@pytest.mark.parametrize("reset", RESETS)
def test_a_pools_reset_matters_where_the_session_may_hold_an_advisory_lock(
    reset: str, shared_database: Database
) -> None:
    transaction = TransactionFootprint(read_catalog(shared_database.dsn, "payment_clock"))
    transaction.executed("SELECT 1 FROM payments")
    assert transaction.pending(reset) == NOTHING
    transaction.executed("SELECT pg_advisory_lock(1)")
    transaction.executed("SELECT 1 FROM payments")
    assert transaction.pending(reset) == EVERYTHING
