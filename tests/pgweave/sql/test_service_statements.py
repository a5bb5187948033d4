"""The footprint of every statement of the service, literally."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from payments_core.infrastructure.postgres import statements as service
from payments_core.infrastructure.postgres.session import needs, set_all
from pgweave import clock
from pgweave.interleavings.footprint import Access, Lock, Rows
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.control import StatementKind
from pgweave.sql.footprints import READ_CLOCK, is_scheduling_point, statement_footprint
from tests.pgweave.sql.support import ONE, all_bound, lock, numbered, read
from tests.support.postgres import Database

P = {"payment_id": ONE}
PK = P | {"idempotency_key": "key"}
UPDATE_VALUES = ["captured", None, None, "2026-01-01", 500, None, None, ONE]
ATTEMPT_VALUES = [ONE, "key", 500, "captured", "2026-01-01", 201, "body", 3]
REFUSED_VALUES = [ONE, "key", 500, "amount_mismatch", "2026-01-01", 422, "body", 3]

# name, values, what it reads, what it locks, what its commit makes visible, what else its commit does
EXPECTED: list[tuple[str, list[Any], set[Access], set[Access], set[Rows], set[Access]]] = [
    ("LOCK_PAYMENT", [ONE], set(), {lock(Lock.NO_KEY_UPDATE, "payments", **P)}, set(), set()),
    ("LOCK_FREE_PAYMENT", [ONE], set(), {lock(Lock.NO_KEY_UPDATE, "payments", **P)}, set(), set()),
    (
        "FIND_ATTEMPT",
        [ONE, ONE, "key"],
        {read("payment_events", **P), read("capture_attempts", **PK)},
        set(),
        set(),
        set(),
    ),
    ("READ_CLOCK", [], {READ_CLOCK}, set(), set(), set()),
    (
        "UPDATE_PAYMENT",
        UPDATE_VALUES,
        set(),
        {lock(Lock.NO_KEY_UPDATE, "payments", **P), lock(Lock.KEY_SHARE, "payments_pkey", **P)},
        {Rows("payments", P)},
        {read("capture_attempts", **P)},
    ),
    (
        "MOVE_PAYMENT",
        ["authorized", "2026-01-01", "2026-01-02", None, None, None, None, ONE, ONE],
        {read("payment_events", **P)},
        {
            lock(Lock.NO_KEY_UPDATE, "payments", **P),
            lock(Lock.KEY_SHARE, "payments_pkey", **P),
            lock(Lock.UPDATE, "payment_events_pkey", **P),
        },
        {Rows("payments", P), Rows("payment_events", P)},
        {read("capture_attempts", **P)},
    ),
    (
        "INSERT_ATTEMPT",
        ATTEMPT_VALUES,
        set(),
        {
            lock(Lock.UPDATE, "payment_events_pkey", **P, event_number=3),
            lock(Lock.UPDATE, "capture_attempts_pkey", **PK),
            lock(Lock.UPDATE, "one_captured_attempt", **P),
            lock(Lock.KEY_SHARE, "payments", **P),
        },
        {Rows("capture_attempts", PK), Rows("payment_events", P | {"event_number": 3})},
        {read("payments", **P)},
    ),
    (  # a refused attempt is not in the partial index
        "INSERT_ATTEMPT",
        REFUSED_VALUES,
        set(),
        {
            lock(Lock.UPDATE, "payment_events_pkey", **P, event_number=3),
            lock(Lock.UPDATE, "capture_attempts_pkey", **PK),
            lock(Lock.KEY_SHARE, "payments", **P),
        },
        {Rows("capture_attempts", PK), Rows("payment_events", P | {"event_number": 3})},
        {read("payments", **P)},
    ),
    (
        "INSERT_PAYMENT",
        [ONE, 500],
        {READ_CLOCK},
        {
            lock(Lock.UPDATE, "payments_pkey", **P),
            lock(Lock.UPDATE, "payment_events_pkey", **P, event_number=1),
        },
        {Rows("payments", P), Rows("payment_events", P | {"event_number": 1})},
        set(),
    ),
    ("GET_PAYMENT", [ONE], {read("payments", **P), READ_CLOCK}, set(), set(), set()),
    ("FIND_CREATED", [ONE], {READ_CLOCK}, {lock(Lock.KEY_SHARE, "payments", **P)}, set(), set()),
    ("FIRST_PAGE", [10], {read("payments")}, set(), set(), set()),
    ("NEXT_PAGE", ["2026-01-01", ONE, 10], {read("payments")}, set(), set(), set()),
    (
        "LIST_ATTEMPTS",
        [ONE, ONE, 0, 10],
        {read("payment_events", **P), read("capture_attempts", **P)},
        set(),
        set(),
        set(),
    ),
    ("FIND_DUE", [f"{{{ONE}}}", 10], {read("payments"), READ_CLOCK}, set(), set(), set()),
    ("LOCK_DUE", [ONE], set(), {lock(Lock.NO_KEY_UPDATE, "payments", **P)}, set(), set()),
    ("APPLIED_MIGRATIONS", [], {read("_yoyo_migration")}, set(), set(), set()),
]
SETTINGS = {"HARDLY_WAIT"}
OUTSIDE_REQUESTS = {"SESSION_STATE", "RIGHTS", "LOAD_GUARDS", "IS_CITUS", "REFUSING_WORKERS"}
"""What a new connection, or a look at the readiness, asks."""
CONTROLS = {
    "BEGIN": StatementKind.BEGIN,
    "BEGIN_SERIALIZABLE": StatementKind.BEGIN,
    "COMMIT": StatementKind.COMMIT,
    "ROLLBACK": StatementKind.ROLLBACK,
}


@pytest.fixture(scope="module")
def catalog(shared_database: Database) -> Catalog:
    return read_catalog(shared_database.dsn, "payment_clock")


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected[0])
def test_what_each_statement_touches(
    catalog: Catalog,
    expected: tuple[str, list[Any], set[Access], set[Access], set[Rows], set[Access]],
) -> None:
    name, values, accesses, locks, writes, at_end = expected
    footprint = statement_footprint(numbered(getattr(service, name)), all_bound(values), catalog)
    assert footprint.explain == ""
    assert footprint.accesses == accesses
    assert footprint.locks == locks
    assert footprint.writes == writes
    assert footprint.at_end == at_end
    assert not footprint.uses_transaction_start


@pytest.mark.parametrize(("name", "kind"), CONTROLS.items())
def test_the_statements_that_begin_and_end_transactions(
    catalog: Catalog, name: str, kind: StatementKind
) -> None:
    footprint = statement_footprint(getattr(service, name), (), catalog)
    assert [control.kind for control in footprint.controls] == [kind]
    assert not footprint.explain


def test_no_statement_of_the_service_is_left_out() -> None:
    statements = {name for name in vars(service) if name.isupper() and not name.endswith("_COLUMNS")}
    statements -= {name for name in statements if name.startswith("_")} | OUTSIDE_REQUESTS | SETTINGS
    assert statements == {name for name, *_ in EXPECTED} | set(CONTROLS)
    assert all(is_scheduling_point(numbered(getattr(service, name))) for name in statements)


def test_what_a_new_connection_sends_is_no_step() -> None:
    settings = set_all(needs(180_000) | {"role": "'payments_app'", "statement_timeout": "'8000'"})
    assert not is_scheduling_point(f"{settings}; {service.SESSION_STATE}")
    assert not is_scheduling_point(service.HARDLY_WAIT)
    assert is_scheduling_point("SELECT set_config('default_transaction_isolation', 'serializable', false)")
    assert is_scheduling_point("SELECT set_config('standard_conforming_strings', 'off', false)")


def test_a_clock_that_can_be_set_changes_nothing(catalog: Catalog, database: Database) -> None:
    clock.install(database.dsn, "payment_clock")
    prepared = read_catalog(database.dsn, "payment_clock")
    for name, values, *_ in EXPECTED:
        sql, bound = numbered(getattr(service, name)), all_bound(values)
        assert statement_footprint(sql, bound, prepared) == statement_footprint(sql, bound, catalog)
    now = "SELECT now(), $1 FROM payments"
    assert statement_footprint(now, all_bound([1]), prepared).uses_transaction_start


def test_a_catalog_can_be_sent_to_another_process(catalog: Catalog) -> None:
    sent = pickle.loads(pickle.dumps(catalog))
    sql = numbered(service.INSERT_ATTEMPT)
    values = all_bound(ATTEMPT_VALUES)
    assert statement_footprint(sql, values, sent) == statement_footprint(sql, values, catalog)
