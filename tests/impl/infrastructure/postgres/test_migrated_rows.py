"""Each migration is applied to a database with rows of the version before, and nothing is lost or changed.

The version's own statements write the rows (`versions`); the model decides what is written. Times are equal,
go on, and are set back.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg
import pytest

import payments_core.infrastructure.postgres.migrate as shipped
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.migrate import migrate
from payments_model import (
    Authorize,
    Authorized,
    Capture,
    Captured,
    Command,
    Create,
    Expire,
    Fail,
    Failed,
    FailureReason,
    Outcome,
    Pending,
    Record,
    apply,
    state_of,
)
from payments_verify.audit import audit
from payments_verify.binding import outcomes_by_name, own_client
from payments_verify.payments.observed.observations import Invocation, attempts_of, view_of
from pgweave import clock
from pgweave.clock import DatabaseClock
from tests.impl.infrastructure.postgres.versions import v0003, v0004
from tests.support.api import api_over
from tests.support.postgres import Database
from tests.support.stores import NOON, Kit, stored

pytestmark = pytest.mark.anyio

VERSIONS: dict[str, ModuleType] = {"0003": v0003, "0004": v0004}
PAYMENTS = 40
WINDOW = 5_000_000
KEYS = [f"k{number}" for number in range(6)]
NAMES = {outcome: name for name, outcome in outcomes_by_name().items()}
GROUPS = {"not_authorized": 0, "capture_window_expired": 1, "amount_mismatch": 1, "captured": 2}
"""What the rows of before the events tell of the order of attempts: within a group only their times do."""

Clock = Callable[[random.Random, int], int]
CLOCKS: dict[str, Clock] = {
    "stands still": lambda _rng, now: now,
    "goes on": lambda rng, now: now + rng.choice([1, WINDOW - 1, 1_000_003]),
    "is set back": lambda rng, now: now + rng.choice([1, WINDOW, -1, -WINDOW, -2 * WINDOW]),
}


def at(instant: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)


@dataclass
class OldService:
    """A service of an older version: its statements, and what it was asked."""

    connection: psycopg.Connection[Any]
    sql: ModuleType
    records: dict[UUID, Record] = field(default_factory=dict)
    answers: dict[tuple[UUID, str], tuple[int, bytes]] = field(default_factory=dict)
    decided: dict[UUID, list[str]] = field(default_factory=dict)

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        cursor = self.connection.execute(statement.encode(), parameters)
        return cursor.fetchone() if cursor.description else None

    def ask(self, payment: UUID, command: Command, now: int, key: str | None = None) -> None:
        """Decide as the model does, and store it as the version did."""
        before = self.records.get(payment, Record())
        after, done = apply(before, command, now, key)
        if done.outcome is Outcome.CREATED:
            assert isinstance(command, Create)
            assert self.execute(self.sql.INSERT_PAYMENT, (payment, command.amount)) is not None
        else:
            self.execute(self.sql.BEGIN)
            assert self.execute(self.sql.LOCK_PAYMENT, (payment,)) is not None
            if key is not None:
                assert (self.execute(self.sql.FIND_ATTEMPT, (payment, key)) is not None) is done.replayed
            assert self.execute(self.sql.READ_CLOCK) == (at(now),)
            self._write(payment, before, after, key)
            self.execute(self.sql.COMMIT)
        self.records[payment] = after

    def _write(self, payment: UUID, before: Record, after: Record, key: str | None) -> None:
        is_new = key is not None and before.attempt(key) is None
        if after.payment != before.payment:
            moves_alone = getattr(self.sql, "MOVE_PAYMENT", self.sql.UPDATE_PAYMENT)
            move = self.sql.UPDATE_PAYMENT if is_new else moves_alone
            self.execute(move, (*_columns(after), payment))
        attempt = after.attempt(key) if key is not None and is_new else None
        if attempt is not None and key is not None:
            name = NAMES[attempt.outcome]
            status = {"captured": 201, "amount_mismatch": 422}.get(name, 409)
            body = f'{{"old answer":"{payment} {key}"}}'.encode()
            row = (payment, key, attempt.amount, name, at(attempt.decided_at), status, body)
            self.execute(self.sql.INSERT_ATTEMPT, row)
            self.answers[payment, key] = status, body
            self.decided.setdefault(payment, []).append(key)


def _columns(record: Record) -> tuple[Any, ...]:
    payment = record.payment
    assert payment is not None
    assert not isinstance(payment, Pending)
    captured = (
        (at(payment.captured_at), payment.captured_amount) if isinstance(payment, Captured) else (None,) * 2
    )
    failed = (
        (at(payment.failed_at), payment.reason.name.lower()) if isinstance(payment, Failed) else (None,) * 2
    )
    window = at(payment.authorized_at), at(payment.capture_expires_at)
    return (state_of(payment).name.lower(), *window, *captured, *failed)


async def live(
    service: OldService, set_clock: Callable[[int], Any], clock: Clock, rng: random.Random
) -> None:
    """Draw the lives of some payments, one step of one of them after the other."""
    now = NOON
    for number in range(PAYMENTS):
        payment = UUID(int=rng.getrandbits(128), version=4)
        await set_clock(now)
        service.ask(payment, Create(500), now)
        for _ in range(rng.randrange(14)):
            now = max(NOON, clock(rng, now))
            await set_clock(now)
            record = service.records[payment]
            match rng.randrange(8):
                case 0 | 1 if isinstance(record.payment, Pending):
                    service.ask(payment, Authorize(WINDOW), now)
                case 2 if isinstance(record.payment, Authorized) and number % 3 == 0:
                    is_due = now >= record.payment.capture_expires_at
                    service.ask(payment, Expire() if is_due else Fail(FailureReason.VOIDED), now)
                case _:
                    key = rng.choice(KEYS)
                    known = record.attempt(key)
                    amount = known.amount if known else rng.choice([500, 500, 501])
                    service.ask(payment, Capture(amount), now, key)


@pytest.fixture
def migrations_up_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Which of the schema's migrations there are, up to a number; ``None`` for all."""
    folder = shipped.MIGRATIONS

    def choose(last: str | None) -> None:
        chosen = tmp_path / (last or "all")
        shutil.copytree(folder, chosen)
        for later in chosen.glob("0*"):
            if last is not None and later.name[:4] > last:
                later.unlink()
        monkeypatch.setattr(shipped, "MIGRATIONS", chosen)

    return choose


def test_each_version_that_a_migration_may_meet_is_here() -> None:
    """A new migration needs the statements of the version before it, in a module of `versions`."""
    known = sorted(path.name[:4] for path in shipped.MIGRATIONS.glob("*.sql") if "rollback" not in path.name)
    assert sorted(VERSIONS) == known[2:-1]  # the first three came together


@pytest.mark.parametrize("clock_name", CLOCKS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.invariant("I3", "I8", "I12")
async def test_rows_of_the_version_before(
    empty_database: Database,
    migrations_up_to: Callable[[str | None], None],
    version: str,
    clock_name: str,
) -> None:
    migrations_up_to(version)
    migrate(empty_database.dsn)
    clock.install(empty_database.dsn, "payment_clock")
    async with DatabaseClock.connect(empty_database.dsn) as moved:
        with psycopg.connect(empty_database.app_dsn, autocommit=True) as connection:
            old = OldService(connection, VERSIONS[version])
            await live(old, moved.set, CLOCKS[clock_name], random.Random(clock_name))
        before = stored(empty_database.dsn)
        states = {state_of(each.payment).name for each in old.records.values() if each.payment is not None}
        assert len(states) >= 3, "the lives that were drawn do not differ"
        assert any(len(keys) > 2 for keys in old.decided.values())

        migrations_up_to(None)
        assert next(each[:4] for each in migrate(empty_database.dsn)) == f"{int(version) + 1:04}"

        assert stored(empty_database.dsn) == before
        report = await asyncio.to_thread(audit, empty_database.dsn, workers=1)
        assert (report.found, report.counts.payments) == (0, PAYMENTS)
        settings = Settings(database_url=empty_database.app_dsn, pool_min=1, pool_max=2)
        async with make_pool(settings) as pool:
            await read_back(Kit(postgres_store(pool), moved.set, _none), old, version)


async def read_back(kit: Kit, old: OldService, version: str) -> None:
    """Everything is read by today's service as the model has it, and each key gets the bytes of before."""
    async with api_over(kit) as api:
        client = own_client(api.http)
        for payment, record in old.records.items():
            asked = {"payment": str(payment)}
            seen = await client.send(Invocation("read", asked))
            assert record.payment is not None
            assert seen.value["payment"] == view_of(record.payment)
            listed = (await client.send(Invocation("attempts", asked))).value["attempts"]
            assert sorted(listed, key=lambda each: each["key"]) == attempts_of(record)
            assert [each["key"] for each in listed] == expected_order(old, payment, version)
            for key in old.decided.get(payment, []):
                attempt = record.attempt(key)
                assert attempt is not None
                again = await api.capture(f"/payments/{payment}", key, attempt.amount)
                assert (again.status_code, again.content) == old.answers[payment, key]
                assert again.headers["idempotent-replayed"] == "true"
        pages = [(await api.http.get("/payments?limit=200")).json()["payments"]]
        assert sorted(each["id"] for page in pages for each in page) == sorted(map(str, old.records))


def expected_order(old: OldService, payment: UUID, version: str) -> list[str]:
    """The order of decisions; of before the events, as far as the rows tell it."""
    keys = old.decided.get(payment, [])
    if version != "0003":
        return keys
    attempts = dict(old.records[payment].attempts)

    def place(key: str) -> tuple[int, int, str]:
        return GROUPS.get(NAMES[attempts[key].outcome], 3), attempts[key].decided_at, key

    return sorted(keys, key=place)


async def _none() -> Any:
    raise NotImplementedError


async def test_a_migration_that_changes_a_row_is_seen(
    empty_database: Database, migrations_up_to: Callable[[str | None], None]
) -> None:
    migrations_up_to("0003")
    migrate(empty_database.dsn)
    clock.install(empty_database.dsn, "payment_clock")
    async with DatabaseClock.connect(empty_database.dsn) as moved:
        with psycopg.connect(empty_database.app_dsn, autocommit=True) as connection:
            old = OldService(connection, v0003)
            await live(old, moved.set, CLOCKS["is set back"], random.Random(1))
        migrations_up_to("0004")
        file = shipped.MIGRATIONS / "0004-events.sql"
        text = file.read_text()
        changed = text.replace("WHEN 'captured' THEN 5", "WHEN 'captured' THEN 7")
        assert changed != text
        file.write_text(changed)
        migrate(empty_database.dsn)
    report = await asyncio.to_thread(audit, empty_database.dsn, workers=1)
    assert report.found
