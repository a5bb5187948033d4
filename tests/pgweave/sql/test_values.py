"""Two values are told apart only if PostgreSQL tells them apart."""

from __future__ import annotations

from collections.abc import Hashable
from uuid import UUID

import psycopg
import pytest

from pgweave.gate.wire import Bound
from pgweave.sql.values import (
    NULL,
    UNKNOWN,
    Comparison,
    Term,
    canonical,
    may_name_present,
    value_of,
)
from tests.support.postgres import Database

ID = UUID("0f3c1f2e-1111-4222-8333-444455556666")


@pytest.mark.parametrize(
    "bound",
    [
        Bound(1, 2950, ID.bytes),
        Bound(1, 0, ID.bytes),
        Bound(0, 2950, str(ID).encode()),
        Bound(0, 0, str(ID).upper().encode()),
        Bound(0, 25, f"{{{ID.hex}}}".encode()),
        Bound(1, 25, ID.hex.encode()),
    ],
)
def test_one_uuid_in_many_forms(bound: Bound) -> None:
    assert canonical(Comparison.UUID, bound) == ID


@pytest.mark.parametrize(
    ("comparison", "bound", "expected"),
    [
        (Comparison.INTEGER, Bound(1, 20, (7).to_bytes(8, "big")), 7),
        (Comparison.INTEGER, Bound(1, 21, (7).to_bytes(2, "big")), 7),
        (Comparison.INTEGER, Bound(1, 23, b"\xff\xff\xff\xff"), -1),
        (Comparison.INTEGER, Bound(0, 0, b" +07 "), 7),
        (Comparison.INTEGER, Bound(0, 0, b"7.0"), UNKNOWN),
        (Comparison.INTEGER, Bound(0, 0, b"0x7"), UNKNOWN),
        (Comparison.INTEGER, Bound(1, 701, b"\0" * 8), UNKNOWN),  # a double
        (Comparison.INTEGER, Bound(0, 1700, b"7"), UNKNOWN),  # a numeric, which may be rounded
        (Comparison.TEXT, Bound(0, 0, "ä".encode()), "ä"),
        (Comparison.TEXT, Bound(1, 25, b"a "), "a "),
        (Comparison.TEXT, Bound(0, 1042, b"a"), UNKNOWN),  # char(n) compares without its trailing spaces
        (Comparison.TEXT, Bound(0, 20, b"7"), UNKNOWN),
        (Comparison.TEXT, Bound(0, 0, b"\xff"), UNKNOWN),
        (Comparison.LIMITED_TEXT, Bound(0, 0, b"a"), "a"),
        (Comparison.LIMITED_TEXT, Bound(0, 0, b"a "), UNKNOWN),  # may be stored as 'a'
        (Comparison.BYTES, Bound(1, 17, b"\\x61"), b"\\x61"),
        (Comparison.BYTES, Bound(0, 17, b"\\x61"), b"a"),
        (Comparison.BYTES, Bound(0, 17, b"a\\\\b"), UNKNOWN),
        (Comparison.UUID, Bound(1, 2950, b"short"), UNKNOWN),
        (Comparison.UUID, Bound(0, 0, b"no uuid"), UNKNOWN),
        (Comparison.NONE, Bound(0, 0, b"a"), UNKNOWN),
        (Comparison.NONE, Bound(0, 0, None), NULL),
    ],
)
def test_canonical_values(comparison: Comparison, bound: Bound, expected: Hashable) -> None:
    assert canonical(comparison, bound) == expected


def test_a_parameter_that_another_place_may_have_given_its_type() -> None:
    eight_bytes = [Bound(1, 0, b"\0" * 8)]
    assert value_of(Term(0), Comparison.INTEGER, eight_bytes) == 0
    assert value_of(Term(0, repeated=True), Comparison.INTEGER, eight_bytes) is UNKNOWN
    assert value_of(Term(1), Comparison.INTEGER, eight_bytes) is UNKNOWN


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"now", True),
        (b" Today 10:00", True),
        (b"2026-01-01", False),
        (None, False),
        (b"x" * 100 + b"now", False),
    ],
)
def test_values_that_may_name_the_present(data: bytes | None, *, expected: bool) -> None:
    assert bool(may_name_present([Bound(0, 0, data)])) is expected


@pytest.mark.parametrize(
    ("type_", "comparison", "texts"),
    [
        ("uuid", Comparison.UUID, [str(ID), str(ID).upper(), ID.hex, f"{{{ID}}}", str(UUID(int=1))]),
        ("bigint", Comparison.INTEGER, ["7", " 7", "+7", "007", "8", "-7", "-0", "0"]),
        ("text", Comparison.TEXT, ["a", "A", "a ", "ä", "a\u0308"]),
        ("varchar(3)", Comparison.LIMITED_TEXT, ["a", "abc", "abc   ", "a  "]),
        ("bytea", Comparison.BYTES, ["\\x61", "\\x6A", "\\x6a", "a", "\\x6161", "\\141"]),
    ],
)
def test_postgresql_agrees(
    shared_database: Database, type_: str, comparison: Comparison, texts: list[str]
) -> None:
    with psycopg.connect(shared_database.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TEMPORARY TABLE pair (a {type_}, b {type_})".encode())
        for one in texts:
            for other in texts:
                connection.execute("DELETE FROM pair")
                connection.execute(b"INSERT INTO pair VALUES (%s, %s)", (one, other))
                row = connection.execute("SELECT a = b FROM pair").fetchone()
                assert row is not None
                mine, theirs = (canonical(comparison, Bound(0, 0, text.encode())) for text in (one, other))
                if UNKNOWN not in (mine, theirs):
                    assert (mine == theirs) is row[0], (one, other)
