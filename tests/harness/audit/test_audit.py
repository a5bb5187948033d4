"""The audit of a database: of what the service left in it, while it works, and of what it cannot read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from payments_core.application.use_cases import AuthorizePayment, CapturePayment, ExpirePayments, FailPayment
from payments_core.domain import capture as deciding
from payments_core.domain.capture import CaptureOutcome
from payments_core.domain.payment import FailureReason
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.http.views import capture_answer
from payments_core.infrastructure.postgres import statements
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.audit import AuditError, audit
from payments_verify.audit import run as running
from payments_verify.audit import snapshot as reading
from payments_verify.audit.worker import audit_part
from payments_verify.called import command_line
from payments_verify.cli import app
from pgweave import clock
from pgweave.embedded import EmbeddedPostgres
from tests.harness.audit.damages import DAMAGES
from tests.support.postgres import Database
from tests.support.stores import NOON, Kit, postgres_kit

MIGRATE = command_line("migrate", program="payments-core")

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kit(database: Database) -> AsyncIterator[Kit]:
    clock.install(database.dsn, "payment_clock")
    async with postgres_kit(database) as made:
        yield made


async def capture(kit: Kit, payment_id: UUID, key: str, cents: int = 500) -> None:
    await CapturePayment(kit.store, capture_answer)(payment_id, IdempotencyKey(key), Amount(cents))


async def work(kit: Kit, payments: int = 6) -> list[UUID]:
    """What a service does: of each six payments one stays as it is, one is refused, failed, expired, two are
    captured, and captures race."""
    ids = [
        (await kit.store.create(uuid4(), Amount(500))).snapshot.payment.payment_id for _ in range(payments)
    ]
    for place, payment_id in enumerate(ids):
        kind = place % 6
        if kind == 0:
            await capture(kit, payment_id, "early")
            continue
        window = CaptureWindow(SECOND if kind == 3 else 3600 * SECOND)
        await AuthorizePayment(kit.store)(payment_id, window)
        if kind == 1:
            await capture(kit, payment_id, "less", 499)
        elif kind == 2:
            await FailPayment(kit.store)(payment_id, FailureReason.DECLINED)
            await capture(kit, payment_id, "late")
        elif kind > 3:
            await asyncio.gather(*(capture(kit, payment_id, f"key {number}") for number in range(4)))
            await capture(kit, payment_id, "key 0")
    await kit.set_clock(NOON + 2 * SECOND)
    await ExpirePayments(kit.store)(100)
    await kit.set_clock(NOON)
    return ids


def report(database: Database, *options: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["audit", database.dsn, "--json", *options])
    return result.exit_code, json.loads(result.stdout)


def damage(database: Database, *statements: str) -> None:
    """Change rows past every guard but the constraints on one row."""
    with psycopg.connect(database.dsn) as owner:
        owner.execute("SET session_replication_role = replica")
        for statement in statements:
            assert owner.execute(statement.encode()).rowcount != 0, statement


@pytest.mark.invariant("I12")
async def test_what_the_service_left_is_sound(kit: Kit, database: Database) -> None:
    await work(kit, 12)
    code, found = await asyncio.to_thread(report, database)
    assert (code, found["verdict"], found["findings"], found["rules"]) == (0, "holds", [], {})
    assert found["payments"] == 12
    with psycopg.connect(database.dsn) as owner:
        for name, table in (("attempts", "capture_attempts"), ("events", "payment_events")):
            assert (found[name],) == owner.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found["clock_back"] == found["reconstructed"] == 0
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["audit", database.dsn])
    assert shown.exit_code == 0
    assert shown.stdout.strip().endswith("holds")
    assert "12 payments" in shown.stdout
    assert "postgres:" not in shown.stdout  # no login, no password


@pytest.fixture(scope="module")
def worked(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database in which the service has worked; it is copied, and stays as it is."""
    dsn = postgres_server.create_database("worked", template=migrated_template)
    made = Database("worked", dsn, postgres_server.dsn("worked", role="payments_app"))
    clock.install(dsn, "payment_clock")

    async def fill() -> None:
        async with postgres_kit(made) as kit:
            await work(kit)

    asyncio.run(fill())
    yield made
    postgres_server.drop_database("worked")


@pytest.fixture
def copied(postgres_server: EmbeddedPostgres, worked: Database) -> Iterator[Database]:
    dsn = postgres_server.create_database("copied", template=worked.name)
    yield Database("copied", dsn, postgres_server.dsn("copied", role="payments_app"))
    postgres_server.drop_database("copied")


@pytest.mark.invariant("I12")
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_its_rule(copied: Database, name: str) -> None:
    rule, statement = DAMAGES[name]
    damage(copied, statement)
    with reading.connected(copied.dsn) as connection:
        counts, found = audit_part(connection, reading.Part(None, None), limit=20)
    assert rule in counts.rules
    assert {each.rule for each in found} == counts.rules.keys()


def test_two_captures_of_one_payment(copied: Database) -> None:
    """No session may make two while the index is there, not even one without triggers."""
    damage(
        copied,
        "DROP INDEX one_captured_attempt",
        "UPDATE capture_attempts SET outcome = 'captured', status = 201 WHERE outcome = 'already_captured'",
    )
    code, found = report(copied)
    assert (code, found["verdict"], found["rules"]["I1"]) == (1, "violated", 2)
    assert {each["rule"] for each in found["findings"]} == found["rules"].keys()


def test_findings_beyond_the_limit_are_counted(copied: Database) -> None:
    damage(copied, "UPDATE payments SET created_at = created_at - interval '1 s'")
    code, found = report(copied, "--limit", "2")
    assert (code, found["rules"], len(found["findings"])) == (1, {"I2": 6}, 2)
    payments = [each["payment"] for each in found["findings"]]
    assert payments == sorted(payments)
    shown = CliRunner().invoke(app, ["audit", copied.dsn, "--limit", "2"]).stdout
    assert "... and 4 more findings" in shown
    assert "6 × I2: Only legal moves happen" in shown
    assert shown.count("I2  payment ") == 2
    assert shown.rstrip().endswith("violated")


def test_shares_cover_every_payment_once(copied: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = reading.BOUNDS.replace(str(reading.SLICE), "1")
    monkeypatch.setattr(reading, "BOUNDS", bounds)
    told: list[tuple[int, int, str]] = []
    found = audit(copied.dsn, workers=3, progress=lambda *each: told.append(each))
    assert (found.verdict, found.counts.payments) == ("holds", 6)
    assert len(told) == 7
    assert told[-1] == (6, 6, "payments")
    whole = audit(copied.dsn, workers=1).counts
    assert found.counts == whole
    # events and attempts of payments that are gone lie in some share, too
    damage(copied, "DELETE FROM payments")
    found = audit(copied.dsn, workers=2)
    assert (found.counts.payments, found.counts.events, found.counts.rules) == (0, whole.events, {"I2": 6})


@pytest.mark.invariant("I12")
async def test_no_false_alarm_while_the_service_works(kit: Kit, database: Database) -> None:
    done = asyncio.Event()

    async def load() -> int:
        rounds = 0
        while not done.is_set():
            await work(kit)
            rounds += 1
        return rounds

    loads = [asyncio.create_task(load()) for _ in range(2)]
    audited = [await asyncio.to_thread(audit, database.dsn, workers=2) for _ in range(4)]
    done.set()
    assert min(await asyncio.gather(*loads)) > 0
    assert [each.findings for each in audited] == [[], [], [], []]
    assert audited[-1].counts.payments > audited[0].counts.payments  # there was something to see


def test_a_reconstructed_past_is_sound(copied: Database) -> None:
    before = audit(copied.dsn).counts
    with psycopg.connect(copied.dsn) as owner:
        owner.execute("DROP TABLE payment_events")
        owner.execute("DELETE FROM _yoyo_migration WHERE migration_id = '0004-events'")
    assert migrate(copied.dsn) == ["0004-events"]
    found = audit(copied.dsn)
    assert found.verdict == "holds"
    assert found.counts.events == found.counts.reconstructed == before.events
    assert "of them reconstructed by a migration" in CliRunner().invoke(app, ["audit", copied.dsn]).stdout


@pytest.mark.invariant("I12")
async def test_a_service_that_forgets_an_event(
    kit: Kit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves_alone = f"{statements.UPDATE_PAYMENT} AND payment_id = %s"
    monkeypatch.setattr(statements, "MOVE_PAYMENT", moves_alone)
    payment_id = (await kit.store.create(uuid4(), Amount(500))).snapshot.payment.payment_id
    await AuthorizePayment(kit.store)(payment_id, CaptureWindow(SECOND))
    found = await asyncio.to_thread(audit, database.dsn)
    assert [(each.rule, each.what, each.expected, each.found) for each in found.findings] == [
        ("I12", "payments.state", "pending", "authorized")
    ]


@pytest.mark.invariant("I12")
async def test_a_service_that_decides_wrongly(
    kit: Kit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> CaptureOutcome:
        return CaptureOutcome.AMOUNT_MISMATCH

    monkeypatch.setattr(deciding, "capture_outcome", refused)
    payment_id = (await kit.store.create(uuid4(), Amount(500))).snapshot.payment.payment_id
    await capture(kit, payment_id, "key")
    found = await asyncio.to_thread(audit, database.dsn)
    assert [(each.rule, each.what, each.expected, each.found) for each in found.findings] == [
        ("I10", "event 2", "not_authorized", "amount_mismatch")
    ]


def test_all_workers_see_one_snapshot(copied: Database) -> None:
    with reading.taken(copied.dsn) as snapshot:
        damage(copied, "DELETE FROM payment_events")
        with reading.connected(copied.dsn) as connection:
            reading.join(connection, snapshot.name)
            row = connection.execute("SELECT count(*) FROM payment_events").fetchone()
            assert row is not None
            assert row[0] > 0
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("DELETE FROM payment_events")


# ---- what cannot be audited ----------------------------------------------------------------------


def refused(dsn: str) -> str:
    result = CliRunner().invoke(app, ["audit", dsn])
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_database_without_payments(empty_database: Database) -> None:
    assert "has no payments" in refused(empty_database.dsn)


def test_an_older_schema(database: Database) -> None:
    with psycopg.connect(database.dsn) as owner:
        owner.execute("ALTER TABLE payment_events DROP COLUMN answer_sha256")
    assert f"lacks payment_events.answer_sha256: run {MIGRATE}" in refused(database.dsn)
    with psycopg.connect(database.dsn) as owner:
        owner.execute("DROP TABLE payment_events")
    assert f"lacks payment_events: run {MIGRATE}" in refused(database.dsn)


def test_a_role_that_may_only_read_is_enough_and_one_that_may_not_is_told(copied: Database) -> None:
    assert "may not read payment_events: GRANT SELECT ON" in refused(copied.app_dsn)
    login = "auditor"
    with psycopg.connect(copied.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'only-for-this-test'".encode())
        owner.execute(f"GRANT SELECT ON payments, capture_attempts, payment_events TO {login}".encode())
        try:
            dsn = make_conninfo(copied.dsn, user=login, password="only-for-this-test")
            assert audit(dsn).counts.payments == 6
        finally:
            owner.execute(f"DROP OWNED BY {login}".encode())
            owner.execute(f"DROP ROLE {login}".encode())


def test_a_server_that_is_not_there() -> None:
    assert "cannot be reached" in refused("postgresql://127.0.0.1:1/payments?connect_timeout=2")
    assert "no connection string" in refused("postgresql://[")


def test_a_worker_that_cannot_go_on_leaves_no_verdict(
    copied: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "WORKER", "payments_verify.audit.none")
    with pytest.raises(AuditError, match=r"a worker could not go on: .*No module named"):
        audit(copied.dsn)
