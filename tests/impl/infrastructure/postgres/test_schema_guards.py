"""The schema refuses illegal moves, rewritten history, half a capture, and what the service need not do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.rows import (
    AUTHORIZED,
    CAPTURE,
    EXPIRES,
    INSIDE,
    LEGAL,
    MICROSECOND,
    SHAPES,
    WINDOW,
    Row,
    attempt,
    event,
    in_one_transaction,
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
def application(shared_database: Database) -> Iterator[psycopg.Connection]:
    """A session with the application's privileges."""
    with psycopg.connect(shared_database.app_dsn, autocommit=True) as connection:
        yield connection


# ---- moves --------------------------------------------------------------------------------------


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("state", ["authorized", "captured", "failed"])
def test_a_payment_starts_as_pending(owner: psycopg.Connection, state: str) -> None:
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="starts as pending") as error:
        insert(owner, "payments", payment(state))
    assert violated(error) == "born_pending"


@pytest.mark.invariant("I2")
@pytest.mark.parametrize(("old", "new"), list(product(SHAPES, SHAPES)))
def test_only_legal_moves_happen(owner: psycopg.Connection, old: str, new: str) -> None:
    row = payment(old)
    owner.execute("SET session_replication_role = replica")
    insert(owner, "payments", row)
    if "captured" in {old, new}:
        insert(owner, "capture_attempts", attempt(row["payment_id"]))
    owner.execute("RESET session_replication_role")
    if (old, new) in LEGAL:
        update(owner, row["payment_id"], SHAPES[new] | {"state": new})
        assert state_of(owner, row["payment_id"]) == new
    else:
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
            update(owner, row["payment_id"], SHAPES[new] | {"state": new})
        assert violated(error) == "legal_moves"


@pytest.mark.invariant("I2")
@pytest.mark.parametrize(
    "change",
    [
        {"payment_id": uuid4()},
        {"amount_cents": 501},
        {"created_at": AUTHORIZED},
        {"authorized_at": AUTHORIZED - MICROSECOND},
        {"capture_expires_at": EXPIRES + MICROSECOND},
    ],
)
def test_what_was_recorded_stays(owner: psycopg.Connection, change: Row) -> None:
    row = payment()
    insert(owner, "payments", row)
    update(owner, row["payment_id"], WINDOW | {"state": "authorized"})
    failed = {"state": "failed", "failed_at": INSIDE, "failure_reason": "declined"}
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="never change") as error:
        update(owner, row["payment_id"], failed | change)
    assert violated(error) == "facts_stay"
    update(owner, row["payment_id"], failed)


@pytest.mark.invariant("I2")
@pytest.mark.parametrize("statement", ["DELETE FROM payments", "TRUNCATE payments CASCADE"])
def test_payments_stay(owner: psycopg.Connection, statement: str) -> None:
    insert(owner, "payments", payment())
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        owner.execute(statement.encode())
    assert violated(error) == "payments_stay"


@pytest.mark.invariant("I3")
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM capture_attempts", "TRUNCATE capture_attempts", "UPDATE capture_attempts SET body = 'x'"],
)
def test_attempts_stay(owner: psycopg.Connection, statement: str) -> None:
    row = payment()
    insert(owner, "payments", row)
    insert(owner, "capture_attempts", attempt(row["payment_id"], "not_authorized"))
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        owner.execute(statement.encode())
    assert violated(error) == "attempts_stay"


@pytest.mark.invariant("I12")
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM payment_events", "TRUNCATE payment_events", "UPDATE payment_events SET amount_cents = 1"],
)
def test_events_stay(owner: psycopg.Connection, statement: str) -> None:
    insert(owner, "payment_events", event())
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        owner.execute(statement.encode())
    assert violated(error) == "events_stay"


# ---- payment and attempt together ----------------------------------------------------------------


@pytest.fixture
def authorized(owner: psycopg.Connection) -> UUID:
    """An authorized payment of 500 cents."""
    row = payment()
    insert(owner, "payments", row)
    update(owner, row["payment_id"], WINDOW | {"state": "authorized"})
    payment_id: UUID = row["payment_id"]
    return payment_id


@pytest.mark.parametrize("attempt_first", [True, False])
def test_a_capture_and_its_attempt_in_one_transaction(
    owner: psycopg.Connection, authorized: UUID, attempt_first: bool
) -> None:
    steps = [
        lambda: insert(owner, "capture_attempts", attempt(authorized)),
        lambda: update(owner, authorized, CAPTURE),
    ]
    in_one_transaction(owner, *(steps if attempt_first else reversed(steps)))
    assert state_of(owner, authorized) == "captured"


@pytest.mark.invariant("I6")
@pytest.mark.parametrize(
    "wrong_attempt", [None, {"outcome": "amount_mismatch", "status": 422}], ids=["none", "a refusal"]
)
def test_a_capture_without_its_attempt_does_not_commit(
    owner: psycopg.Connection, authorized: UUID, wrong_attempt: Row | None
) -> None:
    steps = [lambda: update(owner, authorized, CAPTURE)]
    if wrong_attempt is not None:
        steps.append(lambda: insert(owner, "capture_attempts", attempt(authorized) | wrong_attempt))
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        in_one_transaction(owner, *steps)
    assert violated(error) == "capture_has_attempt"
    assert state_of(owner, authorized) == "authorized"


@pytest.mark.invariant("I1")
def test_a_capture_with_an_attempt_of_another_amount_does_not_commit(
    owner: psycopg.Connection, authorized: UUID
) -> None:
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        in_one_transaction(
            owner,
            lambda: insert(owner, "capture_attempts", attempt(authorized, amount_cents=499)),
            lambda: update(owner, authorized, CAPTURE),
        )
    assert violated(error) == "attempt_has_capture"
    assert state_of(owner, authorized) == "authorized"


@pytest.mark.invariant("I6")
@pytest.mark.parametrize("end", ["nothing", "a failure"])
def test_a_successful_attempt_without_a_capture_does_not_commit(
    owner: psycopg.Connection, authorized: UUID, end: str
) -> None:
    steps = [lambda: insert(owner, "capture_attempts", attempt(authorized))]
    if end == "a failure":
        failed = {"state": "failed", "failed_at": INSIDE, "failure_reason": "voided"}
        steps.append(lambda: update(owner, authorized, failed))
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as error:
        in_one_transaction(owner, *steps)
    assert violated(error) == "attempt_has_capture"
    stored = owner.execute("SELECT FROM capture_attempts WHERE payment_id = %s", [authorized]).fetchall()
    assert (state_of(owner, authorized), stored) == ("authorized", [])


# ---- the application's role -----------------------------------------------------------------------


def test_the_application_can_do_its_work(application: psycopg.Connection) -> None:
    row: Row = {"payment_id": uuid4(), "amount_cents": 500}
    insert(application, "payments", row)
    update(application, row["payment_id"], WINDOW | {"state": "authorized"})
    with application.transaction():
        application.execute(
            "SELECT state FROM payments WHERE payment_id = %s FOR NO KEY UPDATE", [row["payment_id"]]
        )
        application.execute("SELECT payment_clock()")
        update(application, row["payment_id"], CAPTURE)
        insert(application, "capture_attempts", attempt(row["payment_id"]))
    assert state_of(application, row["payment_id"]) == "captured"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments",
        "TRUNCATE payments CASCADE",
        "UPDATE payments SET amount_cents = 1",
        "UPDATE payments SET payment_id = gen_random_uuid()",
        "UPDATE payments SET created_at = now()",
        "DELETE FROM capture_attempts",
        "UPDATE capture_attempts SET body = ''",
        "TRUNCATE capture_attempts",
        "DELETE FROM payment_events",
        "UPDATE payment_events SET amount_cents = 1",
        "TRUNCATE payment_events",
        "SELECT outcome FROM payment_events",
        "ALTER TABLE payment_events DISABLE TRIGGER ALL",
        "ALTER TABLE payments DISABLE TRIGGER ALL",
        "ALTER TABLE payments ADD COLUMN fee bigint",
        "DROP TABLE capture_attempts",
        "CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "CREATE TABLE more ()",
        "SET session_replication_role = replica",
        "INSERT INTO _yoyo_migration VALUES ('hash', 'id', now())",
    ],
)
def test_the_application_may_do_nothing_else(application: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(statement.encode())
