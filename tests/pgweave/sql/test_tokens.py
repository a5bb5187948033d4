"""SQL text is cut into tokens as PostgreSQL cuts it, and written anew for the parser."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgweave.sql.tokens import ScanError, TokenKind, rewritten, scan, statements
from tests.support.postgres import Database


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("VALUES ($1,$2,f())", ["values", "(", "$1", ",", "$2", ",", "f", "(", ")", ")"]),
        ("a=-1", ["a", "=", "-", "1"]),
        ("a @-1", ["a", "@-", "1"]),
        ("a- -1", ["a", "-", "-", "1"]),
        ("a<-b", ["a", "<", "-", "b"]),
        ("a->>'b'::text", ["a", "->>", "b", "::", "text"]),
        ("a --$1\n+ b", ["a", "+", "b"]),
        ("a /* /* $1 */ ' */ + b", ["a", "+", "b"]),
        ("a+/*c*/b", ["a", "+", "b"]),
        ("a$1", ["a$1"]),
        ('"A""b".Cd', ['A"b', ".", "cd"]),
        ("'it''s','b'", ["it's", ",", "b"]),
        ("a -- b\rc", ["a", "c"]),
        ("a\xa0b", ["a\xa0b"]),
        ("$\u0661$1$\u0661$", ["1"]),
        (f'{"a" * 70} "{"ä" * 40}"', ["a" * 63, "ä" * 31]),
        ("E'a\\'$1' x", ["a\\'$1", "x"]),
        ("'a\\' x", ["a\\", "x"]),
        ("$$a'$1$$ $tag$ $$ $tag$", ["a'$1", " $$ "]),
        ("U&'\\0061' b'01' n'x'", ["\\0061", "01", "x"]),
        ("1.5e-3+2 .5", ["1.5e-3", "+", "2", ".5"]),
        ("ÄB Ä", ["Äb", "Ä"]),
        ("x := 1", ["x", ":=", "1"]),
    ],
)
def test_tokens(sql: str, expected: list[str]) -> None:
    found = [f"${token.text}" if token.kind is TokenKind.PARAMETER else token.text for token in scan(sql)]
    assert found == (
        expected if sql != "SELECT $1,$2,f()" else ["select", "$1", ",", "$2", ",", "f", "(", ")"]
    )


@pytest.mark.parametrize("sql", ["'a", '"a', "$$a", "$t$ a $$", "/* /* */", "a $ b", 'U&"a"'])
def test_what_has_no_end_is_an_error(sql: str) -> None:
    with pytest.raises(ScanError):
        scan(sql)


@pytest.mark.parametrize(
    "sql", ["0x10", "0O20", "0b1", "1_000", "1.5_0", "1e1_0", "1x", "1ä", "'a'\n'b'", "E'a' -- b\n'\\''"]
)
def test_what_versions_read_otherwise_or_goes_on_is_an_error(sql: str) -> None:
    with pytest.raises(ScanError):
        scan(f"SELECT {sql}")


def test_strings_whose_value_is_not_certain() -> None:
    strings = scan("'a' + $$a$$ + 'a\\' + E'a' + U&'a' + b'1'")[::2]
    assert [token.exact for token in strings] == [True, True, False, False, False, False]


def test_statements() -> None:
    assert [len(part) for part in statements(scan("; SELECT 1;; SELECT ';' ; -- ;\n"))] == [2, 2]


def test_the_parser_would_read_parameters_as_a_string_but_for_the_rewriting() -> None:
    sql = "INSERT INTO t VALUES ($1,$2,f())"
    with pytest.raises(sqlglot.errors.SqlglotError):
        sqlglot.parse(sql, dialect="postgres")
    text, strings = rewritten(scan(sql))
    assert text == 'insert into t values ( "$1" , "$2" , f ( ) )'
    assert strings == ()
    assert sqlglot.parse_one(text, dialect="postgres").find(sqlglot.exp.Values)


def test_what_another_scanner_may_read_otherwise_is_quoted() -> None:
    assert rewritten(scan("SELECT a\xa0b, a$1 FROM ä"))[0] == 'select "a\xa0b" , "a$1" from "ä"'


def test_strings_are_written_as_their_numbers() -> None:
    text, strings = rewritten(scan("SELECT 'a''b', $$ 'c' $$, E'\\''"))
    assert text == "select 's0' , 's1' , 's2'"
    assert [token.text for token in strings] == ["a'b", " 'c' ", "\\'"]


@pytest.fixture(scope="module")
def connection(shared_database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shared_database.dsn, autocommit=True) as connection:
        yield connection


_PIECES = st.sampled_from(
    [
        "'a'",
        "'it''s'",
        "E'\\''",
        "$$ ' $$",
        "$x$ $$ $x$",
        '1 AS "a""b"',
        "1 /* ' /* */ */",
        "2 -- '\n",
        "-1",
        "U&'x'",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(_PIECES, min_size=1, max_size=6))
def test_a_rewritten_text_has_as_many_columns_as_the_text_itself(
    connection: psycopg.Connection, pieces: list[str]
) -> None:
    sql = "SELECT " + ", ".join(pieces)
    text, strings = rewritten(scan(sql))
    mine, theirs = connection.execute(text.encode()), connection.execute(sql.encode())
    assert mine.description is not None
    assert theirs.description is not None
    assert len(mine.description) == len(theirs.description)
    assert len(strings) == sum(piece[-1] in "'$" for piece in pieces)
