"""What is understood, and that everything else depends on everything."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgweave.interleavings.footprint import Access, Lock, Rows
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import (
    READ_CLOCK,
    StatementFootprint,
    is_scheduling_point,
    statement_footprint,
)
from pgweave.sql.functions import functions_that_act
from tests.pgweave.sql.support import ONE, TWO, all_bound, lock, read
from tests.support.postgres import Database

_SCHEMA = """
    CREATE TABLE account (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, code varchar(3) UNIQUE,
        changed_at timestamptz, version int DEFAULT 0
    );
    CREATE TABLE entry (
        id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES account, n int, key text,
        UNIQUE NULLS NOT DISTINCT (account_id, key)
    );
    CREATE TABLE child (id bigint PRIMARY KEY, account_id bigint REFERENCES account ON DELETE CASCADE);
    CREATE TABLE folded (id bigint PRIMARY KEY, name text);
    CREATE UNIQUE INDEX folded_name ON folded (lower(name));
    CREATE TABLE late (id bigint PRIMARY KEY DEFERRABLE);
    CREATE TABLE computed (id bigint PRIMARY KEY, n bigint GENERATED ALWAYS AS (id + 1) STORED);
    CREATE TABLE spans (id bigint PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&));
    CREATE TABLE log (line text);
    CREATE TABLE parent (id bigint PRIMARY KEY);
    CREATE TABLE heir () INHERITS (parent);
    CREATE TABLE parted (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
    CREATE VIEW seen AS SELECT * FROM account;
    CREATE TABLE ruled (id bigint PRIMARY KEY);
    CREATE RULE nothing AS ON INSERT TO ruled DO INSTEAD NOTHING;
    CREATE TABLE secured (id bigint PRIMARY KEY);
    ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
    CREATE SCHEMA other;
    CREATE TABLE other.twin (id bigint PRIMARY KEY);
    CREATE TABLE twin (id bigint PRIMARY KEY);

    CREATE FUNCTION double(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
    CREATE FUNCTION soon() RETURNS timestamptz LANGUAGE plpgsql
        AS 'BEGIN RETURN public.payment_clock() + ''1 s''; END';
    CREATE FUNCTION started() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()';
    CREATE FUNCTION given(at timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1';
    CREATE TYPE pair AS (id bigint, n bigint);
    CREATE TABLE paired (id bigint PRIMARY KEY, pair pair);
    CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.entry';
    CREATE FUNCTION indirect() RETURNS bigint LANGUAGE sql AS 'SELECT public.total()';
    CREATE FUNCTION of_account(account) RETURNS bigint LANGUAGE sql AS 'SELECT public.total()';
    CREATE FUNCTION modern() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM public.entry; END;

    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.changed_at := now(); NEW.version = OLD.version + 1; RETURN NEW; END';
    CREATE TRIGGER touched BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TABLE moved (id bigint PRIMARY KEY, slug text UNIQUE);
    CREATE FUNCTION slugify() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.slug := lower(NEW.slug); RETURN NEW; END';
    CREATE TRIGGER slugified BEFORE INSERT OR UPDATE ON moved FOR EACH ROW EXECUTE FUNCTION slugify();
    CREATE TABLE audited (id bigint PRIMARY KEY);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO public.log VALUES (TG_OP); RETURN NULL; END';
    CREATE TRIGGER audited AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION audit();
    CREATE TABLE replaced (id bigint PRIMARY KEY);
    CREATE FUNCTION replace_row() RETURNS trigger LANGUAGE plpgsql
        AS 'DECLARE copy public.replaced; BEGIN copy := NEW; RETURN copy; END';
    CREATE TRIGGER replaced BEFORE INSERT ON replaced FOR EACH ROW EXECUTE FUNCTION replace_row();
    CREATE TABLE checked (id bigint PRIMARY KEY);
    CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS '
        BEGIN
            PERFORM FROM public.entry WHERE entry.id = NEW.id;
            PERFORM 1 FROM public.account WHERE account.email = OLD.id::text;
            RETURN NULL;
        END';
    CREATE TRIGGER looked AFTER INSERT ON checked FOR EACH ROW EXECUTE FUNCTION look();
"""


@pytest.fixture(scope="module")
def catalog(shared_database: Database) -> Catalog:
    with psycopg.connect(shared_database.dsn) as connection:
        connection.execute(_SCHEMA.encode())
    return read_catalog(shared_database.dsn, "payment_clock")


def footprint(catalog: Catalog, sql: str, *values: object) -> StatementFootprint:
    return statement_footprint(sql, all_bound(values), catalog)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        # commands
        ("MERGE INTO account USING entry ON false WHEN MATCHED THEN DELETE", "MERGE"),
        ("COPY account TO STDOUT", "COPY"),
        ("DO $$ BEGIN END $$", "DO"),
        ("CALL something()", "CALL"),
        ("LOCK TABLE account IN EXCLUSIVE MODE", "LOCK"),
        ("LISTEN a", "LISTEN"),
        ("NOTIFY a", "NOTIFY"),
        ("CREATE TABLE a (b int)", "CREATE"),
        ("TRUNCATE account", "TRUNCATE"),
        ("EXPLAIN ANALYZE DELETE FROM account", "EXPLAIN"),
        ("EXECUTE prepared(1)", "EXECUTE"),
        ("DECLARE c CURSOR FOR SELECT 1", "DECLARE"),
        ("FETCH c", "FETCH"),
        ("PREPARE TRANSACTION 'a'", "PREPARE"),
        ("COMMIT PREPARED 'a'", "COMMIT"),
        ("COMMIT AND CHAIN", "COMMIT"),
        ("SET CONSTRAINTS ALL DEFERRED", "SET"),
        ("SET session_replication_role = replica", "SET"),
        ("SET standard_conforming_strings = off", "SET"),
        ("SET client_encoding TO 'latin1'", "SET"),
        ("SELECT 1; SELECT count(*) FROM account", "several statements"),
        ("SELECT 'a", "no end"),
        # functions of the system
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        ('SELECT pg_catalog."pg_advisory_lock" (1)', "pg_advisory_lock"),
        ("SELECT pg_notify('a', 'b')", "pg_notify"),
        ("SELECT set_config('a.b', 'c', false)", "set_config"),
        ("SELECT nextval('entry_id_seq')", "nextval"),
        ("SELECT txid_current()", "txid_current"),
        ("SELECT query_to_xml('SELECT 1', true, true, '')", "query_to_xml"),
        # functions of users
        ("SELECT total()", "total"),
        ("SELECT indirect()", "total"),
        ("SELECT modern()", "modern"),
        ("SELECT account.of_account FROM account", "total"),
        # relations
        ("SELECT * FROM seen", "is a view"),
        ("SELECT * FROM parent", "inherits"),
        ("SELECT * FROM heir", "inherits"),
        ("SELECT * FROM parted", "is partitioned"),
        ("SELECT * FROM part", "is partitioned"),
        ("INSERT INTO ruled VALUES (1)", "has rules"),
        ("SELECT * FROM secured", "row security"),
        ("SELECT last_value FROM entry_id_seq", "is a sequence"),
        ("SELECT * FROM twin", "one of several"),
        ("SELECT * FROM nowhere", "no known table"),
        ('SELECT * FROM "Account"', "no known table"),
        ("SELECT * FROM pg_stat_activity", "no known table"),
        ("SELECT * FROM account AS entry", "names entry"),
        ("WITH entry AS (SELECT id FROM account) SELECT * FROM entry", "hides entry"),
        ("INSERT INTO late VALUES (1)", "deferrable unique"),
        ("INSERT INTO computed VALUES (1)", "generated columns"),
        ("INSERT INTO spans VALUES (1)", "exclusion constraint"),
        ("DELETE FROM pg_class", "of the system"),
        ("DELETE FROM account WHERE id = 1", "child_account_id_fkey"),
        # constructions
        ("SELECT * INTO copy FROM account", "into"),
        ("SELECT * FROM account TABLESAMPLE system (10)", "system"),
        ("SELECT * FROM (SELECT * FROM account) AS a FOR UPDATE", "subquery"),
        ("SELECT * FROM account FOR UPDATE OF entry", "entry"),
        ("SELECT * FROM account AS a (b, c)", "other names"),
        ("SELECT * FROM (account CROSS JOIN log)", "joins in parentheses"),
        ("SELECT * FROM account, entry AS account", "two tables"),
        ("UPDATE account SET nothing = 1", "no known column"),
        ("UPDATE paired SET pair.id = 1", "no known column"),
        ("INSERT INTO account (nothing) VALUES (1)", "not known"),
        ("SELECT FROM WHERE", "parser"),
        # triggers
        ("INSERT INTO audited VALUES (1)", "audited"),
        ("INSERT INTO replaced VALUES (1)", "NEW as a whole"),
    ],
)
def test_what_is_not_understood_depends_on_everything(catalog: Catalog, sql: str, reason: str) -> None:
    found = footprint(catalog, sql)
    assert found.everything
    assert reason in found.explain


E = {"id": 1}
_INSERTED = "INSERT INTO folded VALUES ($1, 'a')"
_MADE = {lock(Lock.UPDATE, "folded_pkey", id=1), lock(Lock.UPDATE, "folded_name")}
_ANY_CHILD = {Rows("folded", {"id": 1}), Rows("child")}
UNDERSTOOD: list[tuple[str, list[Any], set[Access], set[Access], set[Rows]]] = [
    ("SELECT * FROM ACCOUNT WHERE ID = $1", [1], {read("account", id=1)}, set(), set()),
    ("SELECT * FROM public.account a WHERE (1 = a.id) AND n > 3", [], {read("account", id=1)}, set(), set()),
    ("SELECT * FROM account WHERE id = $1::bigint", [1], {read("account", id=1)}, set(), set()),
    ("SELECT * FROM account WHERE id = $1::text::bigint", [1], {read("account")}, set(), set()),
    (
        "SELECT * FROM account WHERE (email, id) = ($1, $2)",
        ["a", 1],
        {read("account", email="a", id=1)},
        set(),
        set(),
    ),
    ("SELECT * FROM account WHERE email = 'it''s'", [], {read("account", email="it's")}, set(), set()),
    ("SELECT * FROM account WHERE email = E'it\\'s'", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE version = 1", [], {read("account")}, set(), set()),  # no key
    ("SELECT * FROM account WHERE id = NULL", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE id = 1 OR true", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE NOT id = 1", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE id = 1 IS NULL", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE id IN (1)", [], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE id = ANY ($1)", ["{1}"], {read("account")}, set(), set()),
    ("SELECT * FROM account WHERE id = 1 + 0", [], {read("account")}, set(), set()),
    ('SELECT * FROM account WHERE email = $1 COLLATE "C"', ["a"], {read("account")}, set(), set()),
    ("SELECT EXISTS (SELECT FROM account WHERE id = $1)", [1], {read("account", id=1)}, set(), set()),
    ("TABLE account", [], {read("account")}, set(), set()),
    ("SELECT 1 UNION SELECT n FROM entry WHERE id = 1", [], {read("entry", id=1)}, set(), set()),
    ("SELECT relname FROM pg_class", [], {read("pg_class")}, set(), set()),
    ("SELECT to_regclass($1)", ["a"], {read("system catalogs")}, set(), set()),
    ("SELECT * FROM other.twin", [], {read("other.twin")}, set(), set()),
    ("SELECT double(1), random(), version()", [], set(), set(), set()),
    ("SELECT soon()", [], {READ_CLOCK}, set(), set()),
    # joins
    (
        "SELECT * FROM account JOIN entry ON entry.account_id = account.id WHERE account.id = $1",
        [1],
        {read("account", id=1), read("entry", account_id=1)},
        set(),
        set(),
    ),
    (
        "SELECT * FROM account a LEFT JOIN entry e ON e.account_id = a.id AND e.key = $2 WHERE a.id = $1",
        [1, "k"],
        {read("account", id=1), read("entry", account_id=1, key="k")},
        set(),
        set(),
    ),
    (  # an entry without an account is shown too
        "SELECT * FROM account RIGHT JOIN entry ON account_id = account.id AND key = 'a'",
        [],
        {read("account"), read("entry")},
        set(),
        set(),
    ),
    (  # rows of other accounts are shown too
        "SELECT * FROM entry e LEFT JOIN account a ON a.id = e.account_id AND a.id = 1",
        [],
        {read("account", id=1), read("entry")},
        set(),
        set(),
    ),
    # locks
    ("SELECT * FROM account WHERE id = 1 FOR UPDATE", [], set(), {lock(Lock.UPDATE, "account", id=1)}, set()),
    (
        "SELECT * FROM account, entry FOR NO KEY UPDATE OF account NOWAIT",
        [],
        {read("entry")},
        {lock(Lock.NO_KEY_UPDATE, "account")},
        set(),
    ),
    (
        "SELECT * FROM account, entry FOR SHARE OF account FOR KEY SHARE OF entry SKIP LOCKED",
        [],
        set(),
        {lock(Lock.SHARE, "account"), lock(Lock.KEY_SHARE, "entry")},
        set(),
    ),
    # writes
    ("INSERT INTO log VALUES ('a')", [], set(), {lock(Lock.KEY_SHARE, "table log")}, {Rows("log")}),
    (  # NULL is a key here, and a sequence is drawn from
        "INSERT INTO entry (account_id) VALUES ($1)",
        [1],
        {lock(Lock.UPDATE, "sequence public.entry_id_seq")},
        {
            lock(Lock.UPDATE, "entry_pkey"),
            lock(Lock.UPDATE, "entry_account_id_key_key", account_id=1),
            lock(Lock.KEY_SHARE, "account", id=1),
        },
        {Rows("entry", {"account_id": 1})},
    ),
    (  # and NULL is none here; a code may have been cut
        "INSERT INTO account (email, code) VALUES (NULL, 'ab ')",
        [],
        {lock(Lock.UPDATE, "sequence of account.id")},
        {lock(Lock.UPDATE, "account_pkey"), lock(Lock.UPDATE, "account_code_key")},
        {Rows("account")},
    ),
    (
        "INSERT INTO folded VALUES (1, 'A'), ($1, 'B')",
        [2],
        set(),
        {
            lock(Lock.UPDATE, "folded_pkey", id=1),
            lock(Lock.UPDATE, "folded_pkey", id=2),
            lock(Lock.UPDATE, "folded_name"),
        },
        {Rows("folded", {"id": 1}), Rows("folded", {"id": 2})},
    ),
    (
        "INSERT INTO folded SELECT id, email FROM account WHERE id = 1",
        [],
        {read("account", id=1)},
        {lock(Lock.UPDATE, "folded_pkey"), lock(Lock.UPDATE, "folded_name")},
        {Rows("folded")},
    ),
    (  # the trigger makes another slug of it
        "INSERT INTO moved VALUES (1, 'A')",
        [],
        set(),
        {lock(Lock.UPDATE, "moved_pkey", id=1), lock(Lock.UPDATE, "moved_slug_key")},
        {Rows("moved", {"id": 1})},
    ),
    (
        "UPDATE moved SET id = id WHERE slug = 'a' AND id = 1",
        [],
        set(),
        {
            lock(Lock.UPDATE, "moved"),
            lock(Lock.UPDATE, "moved_pkey"),
            lock(Lock.UPDATE, "moved_slug_key"),
        },
        {Rows("moved")},
    ),
    (
        "INSERT INTO folded VALUES ($1, 'a') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        [1],
        set(),
        {
            lock(Lock.UPDATE, "folded_pkey", id=1),
            lock(Lock.KEY_SHARE, "folded_pkey", id=1),
            lock(Lock.UPDATE, "folded_name"),
            lock(Lock.NO_KEY_UPDATE, "folded", id=1),
        },
        {Rows("folded", {"id": 1})},
    ),
    (
        "WITH gone AS (DELETE FROM folded WHERE id = $1 RETURNING name) SELECT * FROM gone, account",
        [1],
        {read("account")},
        {
            lock(Lock.UPDATE, "folded", id=1),
            lock(Lock.UPDATE, "folded_pkey", id=1),
            lock(Lock.UPDATE, "folded_name"),
        },
        {Rows("folded", {"id": 1})},
    ),
    (  # what the first part writes and returns, the second part writes
        f"WITH made AS ({_INSERTED} RETURNING *) INSERT INTO child SELECT made.id, id FROM made",
        [1],
        set(),
        _MADE | {lock(Lock.UPDATE, "child_pkey", id=1), lock(Lock.KEY_SHARE, "account", id=1)},
        {Rows("folded", {"id": 1}), Rows("child", {"id": 1, "account_id": 1})},
    ),
    (
        """
        WITH done AS (UPDATE folded SET name = $2 WHERE id = $1 RETURNING id)
        INSERT INTO child SELECT id, (SELECT max(n) FROM entry WHERE account_id = done.id) FROM done
        """,
        [1, "a"],
        {read("entry", account_id=1)},
        {
            lock(Lock.NO_KEY_UPDATE, "folded", id=1),
            lock(Lock.KEY_SHARE, "folded_pkey", id=1),
            lock(Lock.UPDATE, "folded_name"),
            lock(Lock.UPDATE, "child_pkey", id=1),
            lock(Lock.KEY_SHARE, "account"),
        },
        {Rows("folded", {"id": 1}), Rows("child", {"id": 1})},
    ),
    *[
        (
            sql,
            [1],
            set(),
            _MADE | {lock(Lock.UPDATE, "child_pkey"), lock(Lock.KEY_SHARE, "account")},
            _ANY_CHILD,
        )
        for sql in (  # under the same name, but not the same value
            f"WITH made AS ({_INSERTED} RETURNING id + 1 AS id) INSERT INTO child SELECT id, id FROM made",
            f"WITH made (name, id) AS ({_INSERTED} RETURNING *) INSERT INTO child SELECT id, id FROM made",
            f"""
            WITH made AS ({_INSERTED} RETURNING *)
            INSERT INTO child SELECT made.id, made.id FROM (SELECT 2 AS id) AS made
            """,
            f"WITH made AS ({_INSERTED} RETURNING id) INSERT INTO child SELECT x.id, x.id FROM made AS x",
            f"""
            WITH made AS ({_INSERTED} RETURNING *)
            INSERT INTO child SELECT id, id FROM made CROSS JOIN LATERAL (SELECT name) AS n
            """,
        )
    ],
    (  # the row that is there may have another name
        """
        WITH made AS (
            INSERT INTO folded VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET name = 'b' RETURNING *)
        INSERT INTO account (email) SELECT name FROM made
        """,
        ["a"],
        {lock(Lock.UPDATE, "sequence of account.id")},
        _MADE
        | {
            lock(Lock.KEY_SHARE, "folded_pkey", id=1),
            lock(Lock.NO_KEY_UPDATE, "folded", id=1),
            lock(Lock.UPDATE, "account_pkey"),
            lock(Lock.UPDATE, "account_email_key"),
        },
        {Rows("folded", {"id": 1}), Rows("account")},
    ),
    (  # and a trigger may have given it another slug
        """
        WITH made AS (INSERT INTO moved VALUES (1, 'A') RETURNING slug)
        INSERT INTO account (email) SELECT slug FROM made
        """,
        [],
        {lock(Lock.UPDATE, "sequence of account.id")},
        {
            lock(Lock.UPDATE, "moved_pkey", id=1),
            lock(Lock.UPDATE, "moved_slug_key"),
            lock(Lock.UPDATE, "account_pkey"),
            lock(Lock.UPDATE, "account_email_key"),
        },
        {Rows("moved", {"id": 1}), Rows("account")},
    ),
    (
        "UPDATE entry SET n = account.version FROM account WHERE account.id = account_id AND entry.id = $1",
        [1],
        {read("account")},
        {
            lock(Lock.NO_KEY_UPDATE, "entry", id=1),
            lock(Lock.KEY_SHARE, "entry_pkey", id=1),
            lock(Lock.KEY_SHARE, "entry_account_id_key_key"),
        },
        {Rows("entry", {"id": 1})},
    ),
    (
        "UPDATE entry SET account_id = $2 WHERE account_id = $1 AND id = 7",
        [1, 2],
        set(),
        {
            lock(Lock.UPDATE, "entry", id=7),
            lock(Lock.KEY_SHARE, "entry_pkey", id=7),
            lock(Lock.UPDATE, "entry_account_id_key_key"),
            lock(Lock.KEY_SHARE, "account", id=2),
        },
        {Rows("entry", {"id": 7})},
    ),
    (  # what the trigger looks for has the key of the new row
        "INSERT INTO checked VALUES (1)",
        [],
        {read("entry", id=1), read("account")},
        {lock(Lock.UPDATE, "checked_pkey", id=1)},
        {Rows("checked", {"id": 1})},
    ),
]


@pytest.mark.parametrize("expected", UNDERSTOOD, ids=lambda expected: expected[0])
def test_what_is_understood(
    catalog: Catalog, expected: tuple[str, list[Any], set[Access], set[Access], set[Rows]]
) -> None:
    sql, values, accesses, locks, writes = expected
    found = footprint(catalog, sql, *values)
    assert found.explain == ""
    assert found.accesses == accesses
    assert found.locks == locks
    assert found.writes == writes


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT now()", []),
        ("SELECT pg_catalog.now()", []),
        ("SELECT CURRENT_TIMESTAMP", []),
        ("SELECT localtimestamp(3)", []),
        ("SELECT current_date", []),
        ("SELECT transaction_timestamp()", []),
        ("SELECT age(changed_at) FROM account", []),
        ("SELECT 'now'::timestamptz", []),
        ("SELECT E'\\x6eow'::timestamptz", []),
        ("SELECT $1::timestamptz", ["Tomorrow"]),
        ("SELECT started()", []),
        ("SELECT given()", []),
        ("UPDATE account SET version = 1", []),  # by its trigger
    ],
)
def test_who_asks_when_the_transaction_began(catalog: Catalog, sql: str, values: list[object]) -> None:
    found = footprint(catalog, sql, *values)
    assert found.explain == ""
    assert found.uses_transaction_start
    assert not footprint(catalog, "SELECT $1::timestamptz", "2026-01-01").uses_transaction_start


def test_a_value_written_in_another_form_is_the_same(catalog: Catalog) -> None:
    sql = "SELECT * FROM payments WHERE payment_id = $1"
    assert (
        footprint(catalog, sql, ONE) == footprint(catalog, sql, str(ONE)) == footprint(catalog, sql, ONE.hex)
    )
    assert footprint(catalog, sql, ONE) != footprint(catalog, sql, TWO)
    assert footprint(catalog, sql.replace("$1", f"'{ONE}'")) == footprint(catalog, sql, ONE)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", False),
        (" ; -- nothing", False),
        ("SELECT 1", False),
        ("SHOW transaction_isolation", False),
        ("DEALLOCATE ALL", False),
        ("DEALLOCATE PREPARE _pg3_0", False),
        ("SET statement_timeout = 1000", False),
        ("SET LOCAL lock_timeout TO '1s'", False),
        ("SET SESSION app.tenant = 'a'", False),
        ("SET TIME ZONE 'UTC'", False),
        ("SET client_encoding TO 'UTF8'", False),
        ("RESET ALL", False),
        ("SET search_path TO public", False),
        ("SET ROLE payments_app", False),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", True),
        ("SET default_transaction_isolation = 'serializable'", True),
        ("SET session_replication_role = replica", True),
        ("SELECT now()", True),
        ("SELECT version()", False),
        ("BEGIN", True),
        ("COMMIT", True),
        ("SELECT 1; DELETE FROM account", True),
        ("SELECT 'a", True),
    ],
)
def test_scheduling_points(sql: str, *, expected: bool) -> None:
    assert is_scheduling_point(sql) is expected


def test_functions_that_do_more_than_compute_are_known_by_name(catalog: Catalog) -> None:
    assert functions_that_act(catalog) == ["modern", "total"]
