"""Databases to try statements on, in either order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from payments_core.infrastructure.postgres import statements as service
from tests.pgweave.sql.support import ONE, TWO, numbered


@dataclass(frozen=True)
class Scene:
    """Tables, rows to begin with, and statements to draw; their values are drawn from the lists by name."""

    schema: str
    reset: str
    state: str
    statements: Sequence[tuple[str, str]]
    values: Mapping[str, Sequence[Any]]


_UPSERT = "INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = owner.n + 1 RETURNING n"
_MADE = """
    WITH made AS (INSERT INTO owner (id, email) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING *)
    INSERT INTO item SELECT id, id, email, 0 FROM made
"""
_MOVED = """
    WITH moved AS (UPDATE owner SET n = n + 1 WHERE id = $1 RETURNING id, n)
    INSERT INTO item
    SELECT $2, id, 'other', (SELECT coalesce(max(i.n), 0) + 1 FROM item AS i WHERE i.owner_id = moved.id)
    FROM moved
"""
ACCOUNTS = Scene(
    schema="""
        CREATE TABLE owner (id bigint PRIMARY KEY, email text UNIQUE, n bigint NOT NULL DEFAULT 0);
        CREATE TABLE item (
            id bigint PRIMARY KEY, owner_id bigint REFERENCES owner (id), tag text,
            n bigint NOT NULL DEFAULT 0
        );
        CREATE UNIQUE INDEX one_main ON item (owner_id) WHERE tag = 'main';
        CREATE FUNCTION check_main() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM public.owner WHERE owner.id = NEW.owner_id AND owner.n > 5;
            IF FOUND THEN RAISE EXCEPTION 'too many'; END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER main_checked AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION check_main();
    """,
    reset="""
        DELETE FROM item; DELETE FROM owner;
        INSERT INTO owner VALUES (1, 'a', 0), (2, 'b', 5);
        INSERT INTO item VALUES (1, 1, 'main', 0), (2, 2, 'other', 0);
    """,
    state="""
        SELECT 'owner', id, email, n::text FROM owner
        UNION ALL SELECT tag, id, owner_id::text, n::text FROM item
    """,
    statements=[
        ("SELECT * FROM owner WHERE id = $1", "id"),
        ("SELECT * FROM owner WHERE email = $1", "email"),
        ("SELECT * FROM item WHERE owner_id = $1", "id"),
        ("SELECT * FROM owner LEFT JOIN item ON item.owner_id = owner.id WHERE owner.id = $1", "id"),
        ("SELECT * FROM owner LEFT JOIN item ON item.owner_id = owner.id AND item.id = $1", "id"),
        ("SELECT * FROM item JOIN owner ON owner_id = owner.id WHERE email = $1", "email"),
        ("SELECT count(*) FROM item WHERE id = $1 OR tag = $2", "id tag"),
        ("SELECT * FROM owner WHERE id = $1 FOR UPDATE", "id"),
        ("SELECT * FROM owner WHERE id = $1 FOR NO KEY UPDATE", "id"),
        ("SELECT * FROM owner WHERE id = $1 FOR SHARE", "id"),
        ("SELECT * FROM owner WHERE id = $1 FOR KEY SHARE", "id"),
        ("SELECT id FROM owner WHERE n < 9 FOR NO KEY UPDATE SKIP LOCKED", ""),
        ("SELECT * FROM owner, item WHERE owner.id = $1 AND owner_id = owner.id FOR UPDATE OF item", "id"),
        ("SELECT pg_advisory_xact_lock($1)", "id"),
        ("SELECT pg_try_advisory_xact_lock($1)", "id"),
        ("SELECT pg_advisory_xact_lock_shared(1, hashtext($1))", "email"),
        ("SELECT pg_try_advisory_xact_lock(1, hashtext($1))", "email"),
        ("UPDATE owner SET n = n + 1 WHERE id = $1", "id"),
        ("UPDATE owner SET n = n + 3 WHERE email = $1 RETURNING id, n", "email"),
        ("UPDATE owner SET email = $1 WHERE id = $2", "email id"),
        ("UPDATE owner SET id = $1 WHERE id = $2", "id id"),
        ("UPDATE item SET n = n + 1 WHERE id = $1", "id"),
        ("UPDATE item SET tag = $1 WHERE id = $2", "tag id"),
        ("UPDATE item SET owner_id = $1 WHERE id = $2", "id id"),
        ("UPDATE item SET n = owner.n FROM owner WHERE owner.id = owner_id AND item.id = $1", "id"),
        ("DELETE FROM owner WHERE id = $1", "id"),
        ("DELETE FROM item WHERE id = $1", "id"),
        ("INSERT INTO owner (id, email) VALUES ($1, $2)", "id email"),
        ("INSERT INTO owner (id, email) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id", "id email"),
        ("INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id", "id"),
        (
            "INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = owner.n + 1 RETURNING n",
            "id",
        ),
        ("INSERT INTO item VALUES ($1, $2, $3, 0)", "id id tag"),
        ("INSERT INTO item SELECT $1, id, 'other' FROM owner WHERE id = $2", "id id"),
        ("WITH gone AS (DELETE FROM item WHERE id = $1 RETURNING n) SELECT * FROM gone", "id"),
        (
            _MADE,
            "id email",
        ),
        (
            _MOVED,
            "id id",
        ),
    ],
    values={"id": [1, 2, 3], "email": ["a", "b", "c"], "tag": ["main", "other"]},
)

_CAPTURE = """
    UPDATE payments SET state = 'captured', captured_at = authorized_at, captured_amount_cents = 5
    WHERE payment_id = $1
"""
_FAIL = """
    UPDATE payments SET state = 'failed', failed_at = authorized_at, failure_reason = 'voided'
    WHERE payment_id = $1
"""
_CREATE = """
    INSERT INTO payments (payment_id, amount_cents) VALUES ($1, 5)
    ON CONFLICT (payment_id) DO NOTHING RETURNING payment_id
"""
_SUCCEED = "INSERT INTO capture_attempts VALUES ($1, $2, 5, 'captured', 201, '', '2026-01-01')"
_REFUSE = "INSERT INTO capture_attempts VALUES ($1, $2, 5, 'amount_mismatch', 422, '', '2026-01-01')"
_LOCK = numbered(service.LOCK_PAYMENT).replace("created_at, ", "")
PAYMENTS = Scene(
    schema="",
    reset=f"""
        SET session_replication_role = replica;  -- the guards refuse to delete
        DELETE FROM capture_attempts; DELETE FROM payments;
        INSERT INTO payments (payment_id, amount_cents, state, authorized_at, capture_expires_at)
            VALUES ('{ONE}', 5, 'authorized', '2026-01-01', '2026-01-02'),
                   ('{TWO}', 5, 'authorized', '2026-01-01', '2026-01-02');
        SET session_replication_role = origin;
    """,
    state="""
        SELECT payment_id, state, NULL FROM payments
        UNION ALL SELECT payment_id, idempotency_key, outcome FROM capture_attempts
    """,
    statements=[
        (_LOCK, "payment"),
        (_LOCK.replace("NO KEY ", ""), "payment"),
        ("SELECT payment_id FROM payments WHERE state = 'authorized' FOR NO KEY UPDATE SKIP LOCKED", ""),
        (numbered(service.FIND_ATTEMPT).replace("$2", "$1").replace("$3", "$2"), "payment key"),
        ("SELECT * FROM capture_attempts WHERE payment_id = $1", "payment"),
        (
            numbered(service.LIST_ATTEMPTS).replace("$2", "$1").replace("$3", "0").replace("$4", "10"),
            "payment",
        ),
        ("SELECT state FROM payments WHERE payment_id = $1", "payment"),
        ("SELECT payment_id, state FROM payments ORDER BY payment_id", ""),
        (_CAPTURE, "payment"),
        (f"{_CAPTURE} AND state = 'authorized'", "payment"),
        (_FAIL, "payment"),
        (_SUCCEED, "payment key"),
        (_REFUSE, "payment key"),
        (_CREATE, "payment"),
    ],
    values={"payment": [ONE, TWO, UUID(int=3)], "key": ["a", "b"]},
)
