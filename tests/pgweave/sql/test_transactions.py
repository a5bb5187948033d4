"""What a connection does next, in the transaction that it is in."""

from __future__ import annotations

from uuid import UUID

import pytest

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import EVERYTHING, NOTHING, Access, Footprint, Lock, Mode
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import READ_CLOCK, alone, statement_footprint
from pgweave.sql.snapshots import TAKE_SNAPSHOT, WRITE_OR_END
from pgweave.sql.transactions import TransactionFootprint
from pgweave.sql.values import SentNames
from tests.pgweave.sql.support import ONE, TWO, all_bound, lock, publish, read, release
from tests.support.postgres import Database

LOCK = "SELECT * FROM payments WHERE payment_id = $1 FOR NO KEY UPDATE"
UPDATE = "UPDATE payments SET state = 'failed' WHERE payment_id = $1"
READ = "SELECT * FROM payments WHERE payment_id = $1"
ID = all_bound([ONE])
NEW = UUID("0f3c1f2e-aaaa-4bbb-8ccc-ddddeeeeffff")
P = {"payment_id": ONE}

LOCKED = lock(Lock.NO_KEY_UPDATE, "payments", **P)
RELEASED = release(Lock.NO_KEY_UPDATE, "payments", **P)
HELD = lock(Lock.KEY_SHARE, "payments_pkey", **P)
UNHELD = release(Lock.KEY_SHARE, "payments_pkey", **P)
PUBLISHED = publish("payments", **P)
CHECKED = read("capture_attempts", **P)


@pytest.fixture(scope="module")
def catalog(shared_database: Database) -> Catalog:
    return read_catalog(shared_database.dsn, "payment_clock")


@pytest.fixture
def transaction(catalog: Catalog) -> TransactionFootprint:
    return TransactionFootprint(catalog)


def of(*accesses: Access) -> Footprint:
    return Footprint.of(*accesses)


def test_a_commit_publishes_what_was_written_and_releases_what_was_locked(
    transaction: TransactionFootprint,
) -> None:
    assert transaction.executed("BEGIN") == NOTHING
    assert transaction.executed(LOCK, ID) == of(LOCKED)
    assert transaction.pending(UPDATE, ID) == of(LOCKED, HELD)
    assert transaction.pending("COMMIT") == of(RELEASED)
    assert transaction.executed(UPDATE, ID) == of(LOCKED, HELD)
    whole = of(RELEASED, UNHELD, PUBLISHED, CHECKED)
    assert transaction.pending("END") == transaction.pending("COMMIT") == whole
    assert transaction.pending("ROLLBACK") == transaction.pending("ABORT") == of(RELEASED, UNHELD)
    assert transaction.executed("COMMIT") == whole
    assert not transaction.in_transaction
    assert transaction.pending("COMMIT") == NOTHING


def test_a_rollback_only_releases(transaction: TransactionFootprint) -> None:
    transaction.executed("START TRANSACTION READ WRITE")
    transaction.executed(UPDATE, ID)
    assert transaction.executed("ROLLBACK") == of(RELEASED, UNHELD)
    assert transaction.pending(READ, ID) == of(read("payments", **P))


def test_a_statement_alone_is_a_whole_transaction(transaction: TransactionFootprint) -> None:
    assert transaction.pending(UPDATE, ID) == of(LOCKED, HELD, RELEASED, UNHELD, PUBLISHED, CHECKED)
    assert transaction.pending("SELECT now()") == of(READ_CLOCK)
    assert transaction.pending(READ, ID) == of(read("payments", **P))


def test_a_transaction_without_locks_and_writes_ends_unnoticed(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed(READ, ID)
    assert transaction.pending("COMMIT") == NOTHING


def test_a_failure_gives_the_locks_back_at_once(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed(UPDATE, ID)
    other = all_bound([TWO])
    failed = transaction.executed(LOCK, other, failed=True)
    theirs = {"payment_id": TWO}
    assert failed == of(
        lock(Lock.NO_KEY_UPDATE, "payments", **theirs),
        release(Lock.NO_KEY_UPDATE, "payments", **theirs),
        RELEASED,
        UNHELD,
    )
    assert transaction.failed
    assert transaction.pending(UPDATE, ID) == NOTHING  # refused
    assert transaction.executed("COMMIT") == NOTHING  # a rollback, with nothing left to give back
    assert not transaction.failed


def test_a_commit_that_fails_publishes_nothing_afterwards(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed(UPDATE, ID)
    assert CHECKED in transaction.executed("COMMIT", failed=True).accesses
    assert not transaction.in_transaction
    assert transaction.end(commit=True) == NOTHING


def test_a_savepoint_keeps_what_was_done_before_it(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed(UPDATE, ID)
    assert transaction.executed("SAVEPOINT a") == NOTHING
    transaction.executed(READ, ID, failed=True)
    assert transaction.pending("ROLLBACK TO SAVEPOINT a") == of(RELEASED, UNHELD)
    transaction.executed("ROLLBACK TO a")
    assert transaction.executed("RELEASE a") == NOTHING
    assert transaction.executed("COMMIT") == of(RELEASED, UNHELD, PUBLISHED, CHECKED)


@pytest.mark.parametrize(
    "begin",
    [
        ["BEGIN ISOLATION LEVEL REPEATABLE READ"],
        ["BEGIN READ WRITE, ISOLATION LEVEL SERIALIZABLE"],
        ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY"],
        ["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
        ["BEGIN", "SET LOCAL transaction_isolation TO 'serializable'"],
        ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN"],
        ["SET default_transaction_isolation = 'repeatable read'", "BEGIN"],
    ],
)
def test_with_one_snapshot_only_reads_before_the_first_write_are_independent(
    catalog: Catalog, begin: list[str]
) -> None:
    mine, theirs, other = (TransactionFootprint(catalog) for _ in range(3))
    for sql in begin:
        assert mine.executed(sql) == theirs.executed(sql) == NOTHING
    other.executed("BEGIN")
    assert mine.pending("COMMIT") == NOTHING
    now = "SELECT clock_timestamp()"
    first, writes = mine.pending(now), theirs.pending(UPDATE, ID)
    other.executed(UPDATE, ID)
    assert first.dependent(other.pending("COMMIT"))  # the snapshot is taken by the first, whatever it reads
    for query, values in ((now, []), (READ, ID)):
        assert not mine.executed(query, values).dependent(theirs.pending(READ, ID))
    assert not mine.pending(now).dependent(theirs.pending(now))
    assert mine.pending(READ, ID).dependent(writes)
    assert not mine.pending(now).dependent(writes)
    assert mine.executed(UPDATE, ID).dependent(writes)
    assert mine.pending(READ, ID).dependent(
        theirs.executed(READ, ID)
    )  # it may read from one that has written
    assert mine.pending("COMMIT").dependent(theirs.pending("COMMIT"))
    assert mine.executed(READ, ID, failed=True).dependent(theirs.pending("COMMIT"))
    assert mine.executed("ROLLBACK") == NOTHING  # it has ended with the statement that failed
    assert mine.explain(READ) == ""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT version()",
        "SELECT setting FROM pg_settings WHERE name = 'x'",
        "SELECT set_config('search_path', 'x', true)",
    ],
)
def test_a_question_for_what_is_fixed_may_take_the_snapshot_and_no_more(catalog: Catalog, sql: str) -> None:
    transaction = TransactionFootprint(catalog)
    transaction.executed("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert transaction.takes_snapshot(sql)
    accesses = transaction.executed(sql).accesses
    assert TAKE_SNAPSHOT.accesses <= accesses
    assert all(access.mode is Mode.READ for access in accesses)
    assert not transaction.takes_snapshot(sql)
    assert not TAKE_SNAPSHOT.accesses & transaction.pending(READ, ID).accesses
    assert transaction.pending("COMMIT") == WRITE_OR_END


def test_a_lone_statement_with_a_snapshot_of_its_own_depends_on_every_other(catalog: Catalog) -> None:
    mine, theirs = (TransactionFootprint(catalog, isolation="serializable") for _ in range(2))
    assert mine.pending(READ, ID).dependent(theirs.pending(READ, ID))
    session = TransactionFootprint(catalog)
    session.executed("SET default_transaction_isolation = 'serializable'")
    assert session.pending(READ, ID) == mine.pending(READ, ID)


def test_a_level_that_is_not_known_may_do_anything(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed("SET TRANSACTION ISOLATION LEVEL SNAPSHOT ISOLATION")
    assert transaction.pending(READ, ID) == EVERYTHING
    assert "not understood" in transaction.explain(READ)
    assert transaction.executed("COMMIT") == EVERYTHING


@pytest.mark.parametrize(
    "begin", ["BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN ISOLATION LEVEL READ UNCOMMITTED", "begin work"]
)
def test_read_committed_is_understood(transaction: TransactionFootprint, begin: str) -> None:
    transaction.executed(begin)
    assert transaction.pending(READ, ID) == of(read("payments", **P))
    transaction.executed("SET TRANSACTION READ ONLY")
    assert transaction.pending(READ, ID) == of(read("payments", **P))


@pytest.mark.parametrize(
    ("call", "notices", "may_do_anything"),
    [
        ("set_config('default_transaction_isolation', 'serializable', false)", True, False),
        ("pg_catalog.set_config('Default_Transaction_Isolation', 'repeatable read', 'f')", True, False),
        ("set_config('default_transaction_isolation', $1, false)", True, True),
        ("set_config($1, 'serializable', false)", True, True),
        ("set_config($1, $2, true)", False, False),
        ("set_config('app.tenant', $1, false)", False, False),
        ("set_config('session_replication_role', 'replica', false)", True, True),
        ("set_config('work_mem', '1MB', false), set_config('row_security', 'off', 'f')", True, True),
        ("set_config('client_encoding', 'UTF8', false)", False, False),
        ("set_config('session_replication_role', 'replica', true)", False, False),
    ],
)
def test_a_call_may_set_the_level_of_what_follows(
    catalog: Catalog, call: str, *, notices: bool, may_do_anything: bool
) -> None:
    session = TransactionFootprint(catalog)
    session.executed(f"SELECT {call}")
    session.executed("BEGIN")
    found = session.pending("SELECT 1 FROM payments WHERE payment_id = $1", all_bound([ONE]))
    other = alone(statement_footprint("UPDATE capture_attempts SET outcome = 'x'", (), catalog))
    assert found.dependent(other) is notices
    assert found.everything is may_do_anything


def test_another_level_ends_with_its_transaction(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN ISOLATION LEVEL SERIALIZABLE")
    transaction.executed("ROLLBACK")
    assert transaction.pending(READ, ID) == of(read("payments", **P))


def test_a_connection_may_begin_at_another_level(catalog: Catalog) -> None:
    transaction = TransactionFootprint(catalog, isolation="snapshot isolation")
    assert transaction.pending(READ, ID) == EVERYTHING
    assert transaction.pending("") == NOTHING


def test_a_transaction_with_a_statement_that_was_not_understood_may_end_in_any_way(
    transaction: TransactionFootprint,
) -> None:
    transaction.executed("BEGIN")
    assert transaction.executed("SELECT pg_advisory_lock(1)") == EVERYTHING
    assert transaction.pending(READ, ID) == of(read("payments", **P))
    assert transaction.pending("ROLLBACK") == EVERYTHING
    assert "pg_advisory_lock" in transaction.explain("COMMIT")
    transaction.executed("COMMIT")
    transaction.executed("BEGIN")
    assert transaction.pending("COMMIT") == NOTHING


def test_a_call_may_set_what_its_transaction_does(transaction: TransactionFootprint) -> None:
    transaction.executed("BEGIN")
    transaction.executed("SELECT set_config('session_replication_role', 'replica', true)")
    assert transaction.pending(UPDATE, ID) == EVERYTHING
    transaction.executed("COMMIT")
    assert transaction.pending(READ, ID) == of(read("payments", **P))


def test_a_change_of_the_schema_makes_the_catalog_stale(transaction: TransactionFootprint) -> None:
    assert transaction.executed("CREATE TEMPORARY TABLE payments (payment_id int)") == EVERYTHING
    assert transaction.pending(READ, ID) == EVERYTHING


def test_several_statements_in_one_text_are_followed(transaction: TransactionFootprint) -> None:
    opened = []
    for sql in ("BEGIN; SELECT 1 FROM payments", "COMMIT; BEGIN", "ROLLBACK; ", "SELECT 1; SELECT 2"):
        transaction.executed(sql)
        opened.append(transaction.in_transaction)
    assert opened == [True, True, False, False]
    assert transaction.pending("BEGIN; SELECT 1") == EVERYTHING
    assert transaction.pending(READ, ID) == of(read("payments", **P))
    transaction.executed("BEGIN; SELECT 1", failed=True)  # who knows how far it came
    assert transaction.pending(READ, ID) == EVERYTHING


def test_a_pipeline_is_a_transaction_that_its_client_did_not_begin(
    transaction: TransactionFootprint, catalog: Catalog
) -> None:
    transaction.begin()
    transaction.add(statement_footprint(UPDATE, ID, catalog))
    assert transaction.pending(READ, ID) == of(read("payments", **P))
    assert transaction.end(commit=True) == of(RELEASED, UNHELD, PUBLISHED, CHECKED)


@pytest.mark.parametrize(
    "sent",
    [
        Bound(1, 2950, NEW.bytes),
        Bound(1, 0, NEW.bytes),
        Bound(0, 2950, str(NEW).encode()),
        Bound(0, 0, str(NEW).upper().encode()),
        Bound(0, 25, NEW.hex.encode()),
    ],
)
def test_an_id_that_is_new_in_each_run_has_a_name(catalog: Catalog, sent: Bound) -> None:
    transaction = TransactionFootprint(catalog, names=SentNames({NEW: ONE}))
    assert transaction.pending(LOCK, [sent]) == transaction.pending(LOCK, ID)
    transaction.executed("BEGIN")
    assert transaction.executed(UPDATE, [sent]) == of(LOCKED, HELD)
    assert transaction.pending("COMMIT") == of(RELEASED, UNHELD, PUBLISHED, CHECKED)
    other = transaction.pending(READ, all_bound([TWO]))
    assert other == of(read("payments", payment_id=TWO))


@pytest.mark.parametrize("written", [str(NEW), str(NEW).upper(), NEW.hex])
def test_an_id_that_is_written_into_the_text_has_a_name_too(catalog: Catalog, written: str) -> None:
    transaction = TransactionFootprint(catalog, names=SentNames({NEW: ONE}))
    text = LOCK.replace("$1", f"'{written}'")
    assert text != LOCK
    assert transaction.pending(text) == transaction.pending(LOCK, ID)
    assert transaction.pending(text.replace(written, str(TWO))) == transaction.pending(LOCK, all_bound([TWO]))


def test_an_id_within_a_longer_key_has_a_name_too(catalog: Catalog) -> None:
    transaction = TransactionFootprint(catalog, names=SentNames({NEW: ONE}))
    look_up = "SELECT FROM capture_attempts WHERE payment_id = $1 AND idempotency_key = $2"

    def pending(payment: UUID) -> Footprint:
        return transaction.pending(look_up, all_bound([ONE, f"{payment} k1"]))

    assert pending(NEW) == pending(ONE)
    assert pending(NEW) != pending(TWO)
