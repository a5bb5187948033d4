"""Statements in short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgweave.timeline.gist import GistKind, gist

CASES = [
    ("SELECT a, b FROM payments WHERE id = $1", "SELECT payments", GistKind.READ),
    ("select a from payments for no key update", "SELECT payments FOR NO KEY UPDATE", GistKind.LOCK),
    ("SELECT payment_clock()", "SELECT payment_clock()", GistKind.READ),
    ("SELECT extract(epoch FROM now())", "SELECT extract(epoch FROM now())", GistKind.READ),
    (
        (
            "SELECT count(*) FROM a JOIN b ON a.x = b.x, LATERAL (SELECT 1) q WHERE a.d IS DISTINCT FROM 3 "
            "ORDER BY x LIMIT 3 FOR UPDATE OF a, q SKIP LOCKED"
        ),
        "SELECT a, b FOR UPDATE SKIP LOCKED",
        GistKind.LOCK,
    ),
    ("SELECT i FROM p WHERE c <= (SELECT clock() FROM other)", "SELECT p", GistKind.READ),
    ("SELECT x FROM t1 UNION SELECT y FROM t2", "SELECT t1, t2", GistKind.READ),
    ("SELECT $$ FROM x $$, ' FROM y', $1::int FROM z -- FROM w", "SELECT z", GistKind.READ),
    (
        "SELECT pg_advisory_xact_lock(hashtext($1))",
        "SELECT pg_advisory_xact_lock(hashtext($1))",
        GistKind.LOCK,
    ),
    ("INSERT INTO capture_attempts (a) VALUES ($1)", "INSERT capture_attempts", GistKind.WRITE),
    (
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO NOTHING RETURNING a",
        "INSERT t ON CONFLICT DO NOTHING",
        GistKind.WRITE,
    ),
    ("\n  UPDATE payments\n  SET state = 'x'\n", "UPDATE payments", GistKind.WRITE),
    ('DELETE FROM ONLY "we ird"."x" WHERE true', 'DELETE "we ird"."x"', GistKind.WRITE),
    (
        (
            "WITH l AS MATERIALIZED (SELECT * FROM p FOR UPDATE), k AS (INSERT INTO q SELECT 1) "
            "UPDATE p SET a = (SELECT 1)"
        ),
        "SELECT p FOR UPDATE + INSERT q + UPDATE p",
        GistKind.WRITE,
    ),
    ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE t IN SHARE MODE", GistKind.LOCK),
    ("begin isolation level repeatable read", "BEGIN isolation level repeatable read", GistKind.OTHER),
    ("COMMIT", "COMMIT", GistKind.COMMIT),
    ("ROLLBACK TO SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", GistKind.ROLLBACK),
    ("BEGIN; UPDATE t SET a = ';'; COMMIT;", "BEGIN; UPDATE t; COMMIT", GistKind.COMMIT),
    ("SET LOCAL lock_timeout = '1s'", "SET LOCAL lock_timeout = '1s'", GistKind.OTHER),
    ("", "", GistKind.OTHER),
    ("-- nothing", "-- nothing", GistKind.OTHER),
    ("'unterminated", "' unterminated", GistKind.OTHER),
    ("WITH x AS (SELECT 1", "WITH x AS(SELECT 1", GistKind.OTHER),
]


@pytest.mark.parametrize(("sql", "text", "kind"), CASES, ids=[text or "empty" for _, text, _ in CASES])
def test_statements(sql: str, text: str, kind: GistKind) -> None:
    found = gist(sql)
    assert (found.text, found.kind) == (text, kind)


WORDS = [
    "SELECT",
    "FROM",
    "WITH",
    "AS",
    "(",
    ")",
    ",",
    ";",
    "'",
    '"',
    "$$",
    "FOR",
    "UPDATE",
    "OF",
    "--",
    "/*",
    "\n",
]


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=3)).map(" ".join))
def test_any_text_has_a_gist_of_one_printable_line(sql: str) -> None:
    text = gist(sql).text
    assert text.isprintable()
    assert text or not sql.strip(" ;\n\t") or not sql.replace(";", "").split()
