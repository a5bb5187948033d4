"""What the service records: one event for each decision, in its transaction, in order."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

import payments_core.infrastructure.postgres.migrate as shipped
from payments_core.application.use_cases import AuthorizePayment, CapturePayment, ExpirePayments, FailPayment
from payments_core.domain.errors import PaymentError
from payments_core.domain.payment import FailureReason
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.http.views import capture_answer
from payments_core.infrastructure.postgres.migrate import migrate
from tests.support.payments import FULL, LONG, SHORT, created
from tests.support.postgres import Database
from tests.support.rows import (
    AUTHORIZED,
    CAPTURE,
    EXPIRES,
    INSIDE,
    MICROSECOND,
    attempt,
    insert,
    payment,
)
from tests.support.stores import NOON, Kit

pytestmark = pytest.mark.anyio

EVENTS = """
    SELECT event_number, outcome, (extract(epoch FROM decided_at) * 1000000)::bigint, amount_cents,
           (extract(epoch FROM capture_expires_at) * 1000000)::bigint, failure_reason, idempotency_key,
           answer_sha256, is_reconstructed
    FROM payment_events WHERE payment_id = %s ORDER BY event_number
"""


def events(database: Database, payment_id: UUID) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.dsn) as owner:
        return owner.execute(EVENTS.encode(), [payment_id]).fetchall()


def outcomes(database: Database, payment_id: UUID) -> list[str]:
    return [row[1] for row in events(database, payment_id)]


async def capture(kit: Kit, payment_id: UUID, key: str = "key", cents: int = 500) -> bytes:
    """A capture's answer; none for a request that was refused without one."""
    answer = b""
    with suppress(PaymentError):
        use = CapturePayment(kit.store, capture_answer)
        answer = (await use(payment_id, IdempotencyKey(key), Amount(cents))).answer.body
    return answer


async def authorize(kit: Kit, payment_id: UUID, window: CaptureWindow = LONG) -> None:
    with suppress(PaymentError):
        await AuthorizePayment(kit.store)(payment_id, window)


async def fail(kit: Kit, payment_id: UUID, reason: FailureReason = FailureReason.VOIDED) -> None:
    with suppress(PaymentError):
        await FailPayment(kit.store)(payment_id, reason)


@pytest.mark.invariant("I12")
async def test_the_past_of_a_captured_payment(postgres: Kit, clocked_database: Database) -> None:
    payment_id = (await created(postgres)).payment_id
    await postgres.set_clock(NOON + 1)
    early = await capture(postgres, payment_id, "early")
    await postgres.set_clock(NOON + 2)
    await authorize(postgres, payment_id)
    await postgres.set_clock(NOON + 3)
    less = await capture(postgres, payment_id, "less", 499)
    await postgres.set_clock(NOON + 4)
    success = await capture(postgres, payment_id)
    await postgres.set_clock(NOON + 5)
    late = await capture(postgres, payment_id, "late")

    def of_capture(number: int, outcome: str, cents: int, key: str, body: bytes) -> tuple[Any, ...]:
        at, digest = NOON + number - 1, hashlib.sha256(body).digest()
        return (number, outcome, at, cents, None, None, key, digest, False)

    assert events(clocked_database, payment_id) == [
        (1, "created", NOON, 500, None, None, None, None, False),
        of_capture(2, "not_authorized", 500, "early", early),
        (3, "authorized", NOON + 2, None, NOON + 2 + LONG.duration, None, None, None, False),
        of_capture(4, "amount_mismatch", 499, "less", less),
        of_capture(5, "captured", 500, "key", success),
        of_capture(6, "already_captured", 500, "late", late),
    ]


@pytest.mark.parametrize("reason", [FailureReason.VOIDED, FailureReason.DECLINED])
async def test_the_past_of_a_failed_payment(
    postgres: Kit, clocked_database: Database, reason: FailureReason
) -> None:
    payment_id = (await created(postgres)).payment_id
    await authorize(postgres, payment_id)
    await fail(postgres, payment_id, reason)
    await capture(postgres, payment_id)
    assert events(clocked_database, payment_id)[2][:6] == (3, "failed", NOON, None, None, reason.value)
    assert outcomes(clocked_database, payment_id) == ["created", "authorized", "failed", "payment_failed"]


async def test_the_past_of_expired_payments(postgres: Kit, clocked_database: Database) -> None:
    swept = [(await created(postgres)).payment_id for _ in range(3)]
    for payment_id in swept:
        await authorize(postgres, payment_id, SHORT)
    await postgres.set_clock(NOON + SECOND)
    await capture(postgres, swept[0])
    assert len(await ExpirePayments(postgres.store)(10)) == 3
    for payment_id in swept:
        at = 4 if payment_id == swept[0] else 3
        expired = (at, "expired", NOON + SECOND, None, None, "expired", None, None, False)
        assert events(clocked_database, payment_id)[-1] == expired
    assert "capture_window_expired" in outcomes(clocked_database, swept[0])


async def test_what_decides_nothing_leaves_no_event(postgres: Kit, clocked_database: Database) -> None:
    payment_id = (await created(postgres)).payment_id
    await authorize(postgres, payment_id)
    await capture(postgres, payment_id)
    before = events(clocked_database, payment_id)
    assert await capture(postgres, payment_id)  # repeated
    assert not await capture(postgres, payment_id, "key", 499)  # the key belongs to another request
    await authorize(postgres, payment_id)  # refused by the state
    await fail(postgres, payment_id)
    await postgres.store.create(payment_id, FULL)  # exists
    await postgres.store.create(payment_id, Amount(501))  # conflicts
    await ExpirePayments(postgres.store)(10)
    await capture(postgres, uuid4())
    assert events(clocked_database, payment_id) == before
    with psycopg.connect(clocked_database.dsn) as owner:
        assert owner.execute("SELECT count(DISTINCT payment_id) FROM payment_events").fetchone() == (1,)


@pytest.mark.invariant("I12")
async def test_events_of_requests_that_race_are_numbered_without_a_gap(
    postgres: Kit, clocked_database: Database
) -> None:
    payment_id = (await created(postgres)).payment_id
    await asyncio.gather(
        authorize(postgres, payment_id),
        *(capture(postgres, payment_id, f"{number}") for number in range(12)),
        fail(postgres, payment_id),
    )
    found = events(clocked_database, payment_id)
    assert [row[0] for row in found] == list(range(1, len(found) + 1))
    assert sorted(row[6] for row in found if row[6]) == sorted(f"{number}" for number in range(12))


@pytest.mark.invariant("I12")
async def test_a_decision_without_its_event_does_not_commit(
    postgres: Kit, clocked_database: Database
) -> None:
    payment_id = (await created(postgres)).payment_id
    await authorize(postgres, payment_id)
    with psycopg.connect(clocked_database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE payment_events ADD CONSTRAINT none CHECK (event_number < 3)")
        before = await postgres.contents()
        try:
            for ask in (capture(postgres, payment_id), fail(postgres, payment_id)):
                with pytest.raises(psycopg.errors.CheckViolation):
                    await ask
            assert await postgres.contents() == before
        finally:
            owner.execute("ALTER TABLE payment_events DROP CONSTRAINT none")
        owner.execute("ALTER TABLE payment_events ADD CONSTRAINT none CHECK (event_number > 1) NOT VALID")
        try:
            with pytest.raises(psycopg.errors.CheckViolation):
                await created(postgres)
            assert await postgres.contents() == before
        finally:
            owner.execute("ALTER TABLE payment_events DROP CONSTRAINT none")


# ---- payments that are older than the record ----------------------------------------------------


@pytest.fixture
def older(empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database of before the events."""
    folder = shutil.copytree(shipped.MIGRATIONS, tmp_path / "migrations")
    for later in folder.glob("000[4-9]-*"):
        later.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(shipped, "MIGRATIONS", folder)
        migrate(empty_database.dsn)
    return empty_database


@pytest.mark.invariant("I12")
async def test_the_past_of_older_payments_is_reconstructed(older: Database) -> None:
    rows = {
        "pending": payment(),
        "captured": payment("captured"),
        "voided": payment("failed", failure_reason="voided"),
        "expired": payment("failed", failure_reason="expired", failed_at=EXPIRES),
    }
    ids = {name: row["payment_id"] for name, row in rows.items()}
    # By the clock the first comes last: it was set back meanwhile. What each found says where it belongs.
    attempts = [
        attempt(
            ids["captured"], "already_captured", idempotency_key="c", decided_at=AUTHORIZED - MICROSECOND
        ),
        attempt(ids["captured"], idempotency_key="b"),
        attempt(ids["captured"], "amount_mismatch", idempotency_key="a2", amount_cents=1),
        attempt(ids["captured"], "amount_mismatch", idempotency_key="a1", amount_cents=1, body=b"\x00"),
        attempt(ids["captured"], "not_authorized", idempotency_key="d", decided_at=EXPIRES),
        attempt(ids["expired"], "capture_window_expired", decided_at=EXPIRES),
        attempt(ids["voided"], "payment_failed"),
        attempt(ids["pending"], "not_authorized"),
    ]
    with psycopg.connect(older.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        for row in rows.values():
            insert(owner, "payments", row)
        for row in attempts:
            insert(owner, "capture_attempts", row)
    assert migrate(older.dsn) == ["0004-events", "0005-list-of-attempts"]

    assert outcomes(older, ids["pending"]) == ["created", "not_authorized"]
    assert outcomes(older, ids["voided"]) == ["created", "authorized", "failed", "payment_failed"]
    assert outcomes(older, ids["expired"]) == ["created", "authorized", "capture_window_expired", "expired"]
    found = events(older, ids["captured"])
    assert [(row[0], row[1], row[6]) for row in found] == [
        (1, "created", None),
        (2, "not_authorized", "d"),
        (3, "authorized", None),
        (4, "amount_mismatch", "a1"),
        (5, "amount_mismatch", "a2"),
        (6, "captured", "b"),
        (7, "already_captured", "c"),
    ]
    assert all(row[-1] for row in found)
    assert found[3][7] == hashlib.sha256(b"\x00").digest()
    at = [int(instant.timestamp() * 1_000_000) for instant in (AUTHORIZED, EXPIRES, INSIDE)]
    assert (found[2][2], found[2][4], found[5][2]) == tuple(at)


async def test_nobody_decides_while_the_past_is_reconstructed(older: Database) -> None:
    """Who does waits; here the migration does, for one that was there before."""
    row = payment("authorized")
    with psycopg.connect(older.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        insert(owner, "payments", row)
        owner.commit()
        migrating = asyncio.create_task(asyncio.to_thread(migrate, older.dsn))
        insert(owner, "capture_attempts", attempt(row["payment_id"]))
        owner.execute(
            "UPDATE payments SET state = 'captured', captured_at = %(captured_at)s,"
            " captured_amount_cents = %(captured_amount_cents)s",
            CAPTURE,
        )
        await asyncio.sleep(0.3)
        assert not migrating.done()
        owner.commit()
    assert await migrating == ["0004-events", "0005-list-of-attempts"]
    assert outcomes(older, row["payment_id"]) == ["created", "authorized", "captured"]
