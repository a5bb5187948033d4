"""The schema refuses rows that contradict themselves, and each of its constraints names its invariant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.rows import (
    AUTHORIZED,
    CAPTURE,
    EVENTS,
    EXPIRES,
    INSIDE,
    MICROSECOND,
    SHAPES,
    STATUS,
    WINDOW,
    Row,
    attempt,
    event,
    insert,
    payment,
    state_of,
    update,
    violated,
)


@pytest.fixture
def owner(shared_database: Database) -> Iterator[psycopg.Connection]:
    """A session of the owner, each statement its own transaction."""
    with psycopg.connect(shared_database.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def unguarded(owner: psycopg.Connection) -> psycopg.Connection:
    """The owner's session without triggers and foreign keys, to meet the constraints on one row alone."""
    owner.execute("SET session_replication_role = replica")
    return owner


PAYMENT_VIOLATIONS: list[tuple[str, Row]] = [
    ("amount_in_range", payment(amount_cents=0)),
    ("amount_in_range", payment(amount_cents=-1)),
    ("amount_in_range", payment(amount_cents=1_000_000_000_000)),
    ("state_known", payment("authorized", state="refunded")),
    ("authorized_unless_pending", payment("pending", **WINDOW)),
    ("authorized_unless_pending", payment("authorized", authorized_at=None, capture_expires_at=None)),
    ("window_iff_authorized", payment("authorized", capture_expires_at=None)),
    ("window_iff_authorized", payment("pending", capture_expires_at=EXPIRES)),
    ("window_not_empty", payment("authorized", capture_expires_at=AUTHORIZED)),
    ("captured_at_iff_captured", payment("captured", captured_at=None)),
    ("captured_at_iff_captured", payment("authorized", captured_at=INSIDE)),
    ("captured_amount_iff_captured", payment("captured", captured_amount_cents=None)),
    ("captured_amount_iff_captured", payment("failed", captured_amount_cents=500)),
    ("captured_in_full", payment("captured", captured_amount_cents=499)),
    ("captured_in_full", payment("captured", captured_amount_cents=501)),
    ("captured_within_window", payment("captured", captured_at=EXPIRES)),
    ("failed_at_iff_failed", payment("failed", failed_at=None)),
    ("failed_at_iff_failed", payment("captured", failed_at=INSIDE)),
    ("reason_iff_failed", payment("failed", failure_reason=None)),
    ("reason_iff_failed", payment("authorized", failure_reason="voided")),
    ("reason_known", payment("failed", failure_reason="bored")),
    ("expired_after_window", payment("failed", failure_reason="expired", failed_at=EXPIRES - MICROSECOND)),
]
ATTEMPT_VIOLATIONS: list[tuple[str, str, Row]] = [
    ("key_length", "captured", {"idempotency_key": ""}),
    ("key_length", "captured", {"idempotency_key": "k" * 256}),
    ("key_visible_ascii", "captured", {"idempotency_key": "tab\t"}),
    ("key_visible_ascii", "captured", {"idempotency_key": "line\n"}),
    ("key_visible_ascii", "captured", {"idempotency_key": "del\x7f"}),
    ("key_visible_ascii", "captured", {"idempotency_key": "clé"}),
    ("requested_amount_positive", "amount_mismatch", {"amount_cents": 0}),
    ("outcome_known", "probably", {}),
    ("status_of_outcome", "captured", {"status": 200}),
    ("status_of_outcome", "amount_mismatch", {"status": 409}),
    ("status_of_outcome", "already_captured", {"status": 422}),
]

EVENT_VIOLATIONS: list[tuple[str, Row]] = [
    ("created_first", event(event_number=0)),
    ("created_first", event(event_number=2)),
    ("created_first", event("authorized", event_number=-1)),
    ("event_of_outcome", event("probably", event_number=2)),
    ("event_of_outcome", event(amount_cents=None)),
    ("event_of_outcome", event(idempotency_key="key")),
    ("event_of_outcome", event("authorized", capture_expires_at=None)),
    ("event_of_outcome", event("authorized", amount_cents=500)),
    ("event_of_outcome", event("failed", failure_reason=None)),
    ("event_of_outcome", event("expired", capture_expires_at=EXPIRES)),
    *(
        ("event_of_outcome", event(outcome, **{name: None}))
        for outcome in STATUS
        for name in ("amount_cents", "idempotency_key", "answer_sha256")
    ),
    ("event_of_outcome", event("captured", failure_reason="voided")),
]


@pytest.mark.parametrize(("constraint", "row"), EVENT_VIOLATIONS)
def test_an_event_that_contradicts_itself(unguarded: psycopg.Connection, constraint: str, row: Row) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        insert(unguarded, "payment_events", row)
    assert violated(error) == constraint


@pytest.mark.parametrize("outcome", EVENTS)
def test_an_event_of_each_outcome_is_accepted_once_under_its_number(
    unguarded: psycopg.Connection, outcome: str
) -> None:
    row = event(outcome)
    insert(unguarded, "payment_events", row)
    with pytest.raises(psycopg.errors.UniqueViolation) as error:
        insert(unguarded, "payment_events", row)
    assert violated(error) == "payment_events_pkey"


@pytest.mark.parametrize(("constraint", "row"), PAYMENT_VIOLATIONS)
def test_a_payment_that_contradicts_itself(unguarded: psycopg.Connection, constraint: str, row: Row) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        insert(unguarded, "payments", row)
    assert violated(error) == constraint


@pytest.mark.parametrize(("constraint", "outcome", "changes"), ATTEMPT_VIOLATIONS)
def test_an_attempt_that_contradicts_itself(
    unguarded: psycopg.Connection, constraint: str, outcome: str, changes: Row
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        insert(unguarded, "capture_attempts", attempt(uuid4(), outcome, **changes))
    assert violated(error) == constraint


@pytest.mark.parametrize(
    "row",
    [
        *(payment(state) for state in SHAPES),
        payment(amount_cents=1),
        payment(amount_cents=999_999_999_999),
        payment("captured", captured_at=EXPIRES - MICROSECOND),
        payment("captured", captured_at=AUTHORIZED - MICROSECOND),  # the clock was set back meanwhile
        payment("failed", failure_reason="expired", failed_at=EXPIRES),
        payment("failed", failure_reason="voided", failed_at=EXPIRES),
    ],
)
def test_a_coherent_payment_is_accepted(unguarded: psycopg.Connection, row: Row) -> None:
    insert(unguarded, "payments", row)
    assert state_of(unguarded, row["payment_id"]) == row["state"]


@pytest.mark.parametrize("key", ["k", " ", "~", "k" * 255, "a \"quoted\" 'key' \\ %s"])
@pytest.mark.parametrize("outcome", STATUS)
def test_a_coherent_attempt_is_accepted(unguarded: psycopg.Connection, outcome: str, key: str) -> None:
    row = attempt(uuid4(), outcome, idempotency_key=key)
    insert(unguarded, "capture_attempts", row)
    stored = "SELECT idempotency_key, outcome FROM capture_attempts WHERE payment_id = %s"
    assert unguarded.execute(stored, [row["payment_id"]]).fetchone() == (key, outcome)


@pytest.mark.invariant("I3")
def test_one_row_per_payment_and_one_attempt_per_key(unguarded: psycopg.Connection) -> None:
    row = payment()
    insert(unguarded, "payments", row)
    with pytest.raises(psycopg.errors.UniqueViolation) as error:
        insert(unguarded, "payments", row)
    assert violated(error) == "payments_pkey"

    insert(unguarded, "capture_attempts", attempt(row["payment_id"], "not_authorized"))
    insert(unguarded, "capture_attempts", attempt(row["payment_id"], "not_authorized", idempotency_key="KEY"))
    with pytest.raises(psycopg.errors.UniqueViolation) as error:
        insert(unguarded, "capture_attempts", attempt(row["payment_id"], "amount_mismatch"))
    assert violated(error) == "capture_attempts_pkey"


@pytest.mark.invariant("I1")
def test_one_successful_attempt_per_payment(unguarded: psycopg.Connection) -> None:
    payment_id = uuid4()
    insert(unguarded, "capture_attempts", attempt(payment_id))
    insert(unguarded, "capture_attempts", attempt(payment_id, "already_captured", idempotency_key="second"))
    with pytest.raises(psycopg.errors.UniqueViolation) as error:
        insert(unguarded, "capture_attempts", attempt(payment_id, idempotency_key="third"))
    assert violated(error) == "one_captured_attempt"


def test_an_attempt_needs_its_payment(owner: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as error:
        insert(owner, "capture_attempts", attempt(uuid4(), "not_authorized"))
    assert violated(error) == "attempt_of_payment"


def test_every_constraint_is_tried_above_and_names_its_invariant(owner: psycopg.Connection) -> None:
    rows = owner.execute("""
        SELECT conname, obj_description(oid, 'pg_constraint') FROM pg_constraint
        WHERE conrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
          AND contype IN ('c', 'p', 'u', 'f', 'x')
        UNION ALL
        SELECT tgname, obj_description(oid, 'pg_trigger') FROM pg_trigger
        WHERE NOT tgisinternal
        UNION ALL
        SELECT relname, obj_description(oid, 'pg_class') FROM pg_class JOIN pg_index ON indexrelid = oid
        WHERE indisunique AND NOT indisprimary AND relnamespace = 'public'::regnamespace
    """).fetchall()
    tried = {name for name, _ in PAYMENT_VIOLATIONS} | {name for name, _, _ in ATTEMPT_VIOLATIONS}
    tried |= {name for name, _ in EVENT_VIOLATIONS} | {"payment_events_pkey", "events_stay"}
    tried |= {"payments_pkey", "capture_attempts_pkey", "one_captured_attempt", "attempt_of_payment"}
    tried |= {"born_pending", "legal_moves", "facts_stay", "payments_stay", "attempts_stay"}
    tried |= {"capture_has_attempt", "attempt_has_capture"}
    assert {name for name, _ in rows} == tried
    unnamed = [name for name, comment in rows if not re.match(r"I\d+(, I\d+)*: ", comment or "")]
    assert unnamed == ["payments_pkey"]  # identity is what every invariant speaks of


def test_every_unique_index_starts_with_the_payment(owner: psycopg.Connection) -> None:
    rows = owner.execute("""
        SELECT indexrelid::regclass::text, attname FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indisunique
          AND indrelid IN ('payments'::regclass, 'capture_attempts'::regclass, 'payment_events'::regclass)
    """).fetchall()
    assert {name for name, _ in rows} == {
        *("payments_pkey", "capture_attempts_pkey", "one_captured_attempt", "payment_events_pkey")
    }
    assert {column for _, column in rows} == {"payment_id"}


@pytest.mark.parametrize("index_on_state", [False, True])
def test_updates_are_heap_only_and_an_index_on_state_would_end_that(
    database: Database, index_on_state: bool
) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        if index_on_state:
            owner.execute("CREATE INDEX ON payments (capture_expires_at) WHERE state = 'authorized'")
        row = payment()
        insert(owner, "payments", row)
        with owner.transaction():
            update(owner, row["payment_id"], WINDOW | {"state": "authorized"})
            update(owner, row["payment_id"], CAPTURE)
            insert(owner, "capture_attempts", attempt(row["payment_id"]))
            updates = owner.execute(
                "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)"
                " FROM pg_class WHERE oid = 'payments'::regclass"
            ).fetchone()
        assert updates == (2, 0 if index_on_state else 2)
