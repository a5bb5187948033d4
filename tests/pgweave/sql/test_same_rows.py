"""Two statements that come to the same rows by different values depend on each other."""

from __future__ import annotations

import psycopg
import pytest

from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import alone, statement_footprint
from tests.pgweave.sql.support import all_bound
from tests.support.postgres import Database

_SCHEMA = """
    CREATE TABLE shows (id bigint PRIMARY KEY, sold int DEFAULT 0);
    CREATE TABLE seats (id bigint PRIMARY KEY, show_id bigint, free int DEFAULT 1);
    CREATE TABLE notes (id bigint PRIMARY KEY);
    CREATE TABLE codes (code text PRIMARY KEY);
    CREATE TABLE refers (code varchar(3) REFERENCES codes);
    CREATE TABLE uses (id int PRIMARY KEY, said text UNIQUE);
    CREATE FUNCTION look_up() RETURNS trigger LANGUAGE plpgsql AS '
        BEGIN
            PERFORM FROM public.codes WHERE codes.code = NEW.id::text;
            PERFORM FROM public.seats, public.notes AS new WHERE seats.id = new.id;
            RETURN NULL;
        END';
    CREATE TRIGGER looked_up AFTER INSERT ON uses FOR EACH ROW EXECUTE FUNCTION look_up();
"""
_SELL = "UPDATE shows SET sold = sold + 1 FROM taken WHERE shows.id = taken.id"

# Each with 7 and with 8 comes to one row, that of the show of both seats, or to all.
SAME = [
    f"""WITH taken AS (UPDATE seats SET free = 0 FROM shows WHERE seats.id = $1 AND shows.id = seats.show_id
        RETURNING shows.id) {_SELL}""",
    f"""WITH taken AS (DELETE FROM seats USING shows WHERE seats.id = $1 AND shows.id = seats.show_id
        RETURNING shows.id) {_SELL}""",
    f"""WITH taken AS (UPDATE seats AS s SET free = 0 FROM notes AS seats WHERE s.id = $1
        RETURNING seats.id) {_SELL}""",
    f"""WITH taken AS (UPDATE seats SET free = 0 FROM notes WHERE seats.id = $1 RETURNING notes.*) {_SELL}""",
    # the column is one of the table that is written, not of what the first part returns
    """WITH made AS (INSERT INTO notes VALUES ($1) RETURNING id),
        freed AS (UPDATE seats SET free = 1 WHERE show_id = id RETURNING 1) SELECT * FROM made""",
    """WITH excluded AS (INSERT INTO notes VALUES ($1) RETURNING id)
        INSERT INTO shows VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id""",
]
# What is read is more than what $1 names.
READ = [
    # rows before a left join show, whatever it joins to them
    "SELECT * FROM shows LEFT JOIN seats ON seats.show_id = shows.id AND seats.show_id = $1",
    "SELECT * FROM shows LEFT JOIN notes USING (id) LEFT JOIN seats ON show_id = shows.id AND show_id = $1",
    # USING is about the table that is joined, and not about those that come later or stand before a comma
    "SELECT * FROM notes JOIN seats USING (id) JOIN shows ON shows.sold = seats.free WHERE notes.id = $1",
    "SELECT * FROM notes, seats JOIN shows USING (id) WHERE notes.id = $1",
]
READ_ONE = [
    "SELECT * FROM notes JOIN seats USING (id) JOIN shows USING (id) WHERE notes.id = $1",
    "SELECT * FROM shows LEFT JOIN seats ON seats.show_id = shows.id WHERE seats.show_id = $1",
    "SELECT * FROM seats LEFT JOIN shows ON shows.id = seats.show_id WHERE seats.show_id = $1",
    "SELECT * FROM notes CROSS JOIN seats JOIN shows ON shows.id = show_id WHERE show_id = $1",
    "SELECT * FROM notes LEFT JOIN seats ON show_id = $1 LEFT JOIN shows ON shows.id = seats.show_id",
]
SINCE_18 = [
    f"WITH taken AS (UPDATE seats SET id = $1 WHERE free = 1 RETURNING old.id) {_SELL}",
    f"WITH taken AS (DELETE FROM seats WHERE id = $1 RETURNING new.id) {_SELL}",
]
# Each with 7 and with 8 comes to two rows.
OTHER = [
    f"WITH taken AS (UPDATE seats SET free = 0 WHERE id = $1 RETURNING id) {_SELL}",
    f"WITH taken AS (UPDATE seats SET free = 0 WHERE id = $1 RETURNING seats.id) {_SELL}",
    f"WITH taken AS (UPDATE seats AS old SET free = 0 WHERE id = $1 RETURNING old.id) {_SELL}",
    f"WITH taken AS (INSERT INTO notes AS n VALUES ($1) RETURNING n.id) {_SELL}",
]


@pytest.fixture(scope="module")
def catalog(shared_database: Database) -> Catalog:
    with psycopg.connect(shared_database.dsn) as connection:
        connection.execute(_SCHEMA.encode())
    return read_catalog(shared_database.dsn)


def depends(catalog: Catalog, sql: str) -> bool:
    """Whether a statement with 7 depends on the same with 8, in transactions that go on."""
    seven, eight = (statement_footprint(sql, all_bound([value]), catalog).at_once for value in (7, 8))
    assert not statement_footprint(sql, (), catalog).explain
    return seven.dependent(eight)


@pytest.mark.parametrize("sql", [*SAME, *SINCE_18])
def test_what_may_be_one_row_is_dependent(catalog: Catalog, sql: str) -> None:
    assert depends(catalog, sql)


@pytest.mark.parametrize("sql", OTHER)
def test_what_is_two_rows_is_not(catalog: Catalog, sql: str) -> None:
    assert not depends(catalog, sql)


def reads_what_is_written(catalog: Catalog, sql: str) -> bool:
    """Whether a statement with 7 depends on a write of show 8."""
    written = alone(statement_footprint("UPDATE shows SET sold = 0 WHERE id = 8", (), catalog))
    return statement_footprint(sql, all_bound([7]), catalog).at_once.dependent(written)


@pytest.mark.parametrize("sql", READ)
def test_what_may_be_read_is_dependent(catalog: Catalog, sql: str) -> None:
    assert reads_what_is_written(catalog, sql)


@pytest.mark.parametrize("sql", READ_ONE)
def test_what_cannot_be_read_is_not(catalog: Catalog, sql: str) -> None:
    assert not reads_what_is_written(catalog, sql)


@pytest.mark.parametrize(
    ("sql", "value", "other"),
    [
        # varchar(3) cuts spaces off, and text does not
        ("INSERT INTO refers VALUES ($1)", "abc ", "DELETE FROM codes WHERE code = 'abc'"),
        # the number decides how the text is written
        ("SELECT FROM uses WHERE id = $1 AND said = $1::text", "07", "DELETE FROM uses WHERE said = '7'"),
        # so does the column of the new row, in its trigger
        ("INSERT INTO uses (id) VALUES ($1)", "07", "DELETE FROM codes WHERE code = '7'"),
        # that has a table of the name of the row
        ("INSERT INTO uses (id) VALUES ($1)", "07", "DELETE FROM seats WHERE id = 8"),
    ],
)
def test_what_a_type_makes_of_a_value_is_dependent(
    catalog: Catalog, sql: str, value: str, other: str
) -> None:
    found = statement_footprint(sql, all_bound([value]), catalog)
    assert not found.explain
    assert found.at_once.dependent(alone(statement_footprint(other, (), catalog)))


def test_another_operator_of_equality_is_not_understood(catalog: Catalog) -> None:
    assert "==" in statement_footprint("SELECT * FROM shows WHERE id == 1", (), catalog).explain


def test_an_index_may_have_its_own_collation(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        try:
            connection.execute(
                "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("without ICU")
        connection.execute("CREATE TABLE names (name text)")
        connection.execute("CREATE UNIQUE INDEX ON names (name COLLATE folded)")
    catalog = read_catalog(database.dsn)
    one, other = (
        statement_footprint(f"INSERT INTO names VALUES ('{name}')", (), catalog).at_once for name in "aA"
    )
    assert one.dependent(other)


@pytest.mark.parametrize("sql", [*SAME, *SINCE_18, *OTHER, *READ, *READ_ONE])
def test_the_server_understands_it(catalog: Catalog, shared_database: Database, sql: str) -> None:
    assert catalog.tables
    with psycopg.connect(shared_database.dsn) as connection:
        if sql in SINCE_18 and connection.info.server_version < 180000:
            pytest.skip("of PostgreSQL 18")
        connection.execute(f"EXPLAIN {sql.replace('$1', '7')}".encode())
