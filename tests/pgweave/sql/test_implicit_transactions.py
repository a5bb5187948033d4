"""What comes before one Sync, outside a transaction block, is a transaction that the Sync commits."""

from __future__ import annotations

import pytest

from pgweave.interleavings.footprint import NOTHING, Footprint, Lock, Mode
from pgweave.sql.catalog import Catalog, Column, Table
from pgweave.sql.footprints import READ_CLOCK
from pgweave.sql.snapshots import TAKE_SNAPSHOT
from pgweave.sql.transactions import TransactionFootprint
from pgweave.sql.values import Comparison
from tests.pgweave.sql.support import publish, release

FIRST, SECOND, READ = "UPDATE a SET n = 1", "UPDATE b SET n = 1", "SELECT n FROM a"
ENDS = {each for table in "ab" for each in (release(Lock.NO_KEY_UPDATE, table), publish(table))}
ROLLED_BACK = {each for each in ENDS if each.mode is Mode.RELEASE}


@pytest.fixture
def catalog() -> Catalog:
    columns = {"n": Column("n", Comparison.INTEGER)}
    tables = {name: Table(label=name, schema="public", name=name, columns=columns) for name in "ab"}
    return Catalog(tables=tables, names={name: (name,) for name in "ab"}, functions={})


@pytest.fixture
def transaction(catalog: Catalog) -> TransactionFootprint:
    found = TransactionFootprint(catalog)
    assert not ends(found.executed(FIRST, with_sync=False))
    return found


def ends(footprint: Footprint) -> set[object]:
    return {each for each in footprint.accesses if each.mode in (Mode.RELEASE, Mode.PUBLISH)}


def test_the_statement_with_the_sync_ends_them_all(transaction: TransactionFootprint) -> None:
    assert ends(transaction.pending(SECOND)) == ENDS
    assert not ends(transaction.pending(SECOND, with_sync=False))
    transaction.executed(SECOND, with_sync=False)
    assert ends(transaction.pending_commit()) == ENDS
    assert ends(transaction.executed("SELECT 1")) == ENDS
    assert not transaction.in_transaction
    assert not ends(transaction.executed(READ))


def test_a_sync_by_itself_is_a_commit(transaction: TransactionFootprint) -> None:
    transaction.executed(SECOND, with_sync=False)
    assert ends(transaction.executed("COMMIT")) == ENDS
    assert not transaction.in_transaction


@pytest.mark.parametrize("with_sync", [False, True])
def test_an_error_gives_everything_back_at_once(transaction: TransactionFootprint, with_sync: bool) -> None:
    touched = transaction.executed(SECOND, failed=True, with_sync=with_sync)
    assert ends(touched) >= ROLLED_BACK
    assert not transaction.in_transaction
    assert not transaction.failed
    assert transaction.pending_commit() == NOTHING


def test_a_statement_that_was_refused_in_its_place_touched_nothing(transaction: TransactionFootprint) -> None:
    touched = transaction.executed(SECOND, failed=True, refused=True, with_sync=False)
    assert touched == Footprint.of(release(Lock.NO_KEY_UPDATE, "a"), *(touched.accesses - ENDS))
    assert not transaction.in_transaction


def test_a_begin_makes_a_block_of_it(transaction: TransactionFootprint) -> None:
    assert transaction.executed("BEGIN") == NOTHING
    assert not ends(transaction.executed(SECOND))
    assert ends(transaction.executed("COMMIT")) == ENDS


@pytest.mark.parametrize(("end", "published"), [("COMMIT", True), ("ROLLBACK", False)])
def test_its_end_may_come_before_the_sync(
    transaction: TransactionFootprint, end: str, published: bool
) -> None:
    touched = transaction.executed(end, with_sync=False)
    assert (publish("a") in touched.accesses) is published
    assert release(Lock.NO_KEY_UPDATE, "a") in touched.accesses
    assert publish("a") not in transaction.executed(SECOND).accesses


def test_a_setting_with_the_sync_commits(transaction: TransactionFootprint) -> None:
    assert publish("a") in transaction.executed("SET application_name = 'x'").accesses


def test_a_connection_that_is_lost_rolls_it_back(transaction: TransactionFootprint) -> None:
    lost = transaction.broken(SECOND, executed=True, with_sync=False)
    assert ends(lost) == ROLLED_BACK
    assert ends(transaction.broken(SECOND, executed=True, with_sync=True)) == ENDS
    assert ends(transaction.end(commit=False)) == {release(Lock.NO_KEY_UPDATE, "a")}


def test_what_was_not_understood_may_end_in_any_way(transaction: TransactionFootprint) -> None:
    transaction.executed("SELECT pg_sleep(1), * FROM nothing_known", with_sync=False)
    assert transaction.pending(READ).everything


def test_its_first_query_takes_its_snapshot(catalog: Catalog) -> None:
    transaction = TransactionFootprint(catalog, isolation="repeatable read")
    assert TAKE_SNAPSHOT.accesses <= transaction.executed(READ, with_sync=False).accesses
    assert not TAKE_SNAPSHOT.accesses & transaction.pending(READ, with_sync=False).accesses
    assert not TAKE_SNAPSHOT.accesses & transaction.executed(READ).accesses
    assert TAKE_SNAPSHOT.accesses <= transaction.pending(READ).accesses


def test_it_begins_with_its_first_statement(catalog: Catalog) -> None:
    transaction = TransactionFootprint(catalog)
    assert READ_CLOCK in transaction.executed("SELECT now()", with_sync=False).accesses
    transaction.executed("SELECT 1")
    transaction.executed(READ, with_sync=False)
    assert not transaction.start_read_clock
    transaction.executed("SELECT now() FROM a")
    assert transaction.start_read_clock
