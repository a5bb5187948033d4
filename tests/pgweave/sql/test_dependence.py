"""Which steps of two captures depend on each other: a table to read, and the broken variants of a capture."""

from __future__ import annotations

import pytest

from payments_core.infrastructure.postgres import statements as service
from pgweave.interleavings.footprint import Access, Footprint, Mode
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import CLOCK
from pgweave.sql.transactions import TransactionFootprint
from tests.pgweave.sql.support import ONE, TWO, all_bound, numbered
from tests.support.postgres import Database

LOCK, FIND = numbered(service.LOCK_PAYMENT), numbered(service.FIND_ATTEMPT)
UPDATE, INSERT = numbered(service.UPDATE_PAYMENT), numbered(service.INSERT_ATTEMPT)
MOVE = numbered(service.MOVE_PAYMENT)
READ_CLOCK, GET, LIST = service.READ_CLOCK, numbered(service.GET_PAYMENT), numbered(service.LIST_ATTEMPTS)
CREATE = numbered(service.INSERT_PAYMENT)
DUE, LOCK_DUE = numbered(service.FIND_DUE), numbered(service.LOCK_DUE)
WITHOUT_LOCK = LOCK.replace(" FOR NO KEY UPDATE", "")
GUARDED = "UPDATE payments SET state = 'captured' WHERE payment_id = $1 AND state = 'authorized'"
TAKE, TRY = "SELECT pg_advisory_xact_lock", "SELECT pg_try_advisory_xact_lock"
LOCK_AND_FIND = (
    "WITH payment AS (SELECT * FROM payments WHERE payment_id = $1 FOR NO KEY UPDATE)"
    " SELECT * FROM payment LEFT JOIN capture_attempts AS attempt"
    " ON attempt.payment_id = payment.payment_id AND attempt.idempotency_key = $2"
)

Call = tuple[str, list[object]]


def lock(payment: object) -> Call:
    return LOCK, [payment]


def find(payment: object, key: str) -> Call:
    return FIND, [payment, payment, key]


def update(payment: object) -> Call:
    return UPDATE, ["captured", None, None, "2026-01-01", 500, None, None, payment]


def insert(payment: object, key: str, outcome: str = "captured", event: int = 3) -> Call:
    return INSERT, [payment, key, 500, outcome, "2026-01-01", 201, "body", event]


def move(payment: object) -> Call:
    return MOVE, ["failed", None, None, None, None, "2026-01-01", "voided", payment, payment]


def create(payment: object) -> Call:
    return CREATE, [payment, 500]


def lock_due(payment: object) -> Call:
    return LOCK_DUE, [payment]


def get(payment: object) -> Call:
    return GET, [payment]


NOW: Call = (READ_CLOCK, [])
DUE_PAYMENTS: Call = (DUE, [None, 10])
COMMIT: Call = ("COMMIT", [])
ROLLBACK: Call = ("ROLLBACK", [])
TICK = Footprint.of(Access(Mode.PUBLISH, CLOCK))


@pytest.fixture(scope="module")
def catalog(shared_database: Database) -> Catalog:
    return read_catalog(shared_database.dsn, "payment_clock")


def step(catalog: Catalog, *calls: Call) -> Footprint:
    """The footprint of the last of these statements, the others executed before it in one transaction."""
    transaction = TransactionFootprint(catalog)
    transaction.executed(service.BEGIN)
    for sql, values in calls[:-1]:
        transaction.executed(sql, all_bound(values))
    sql, values = calls[-1]
    return transaction.pending(sql, all_bound(values))


WHOLE = [lock(ONE), find(ONE, "a"), NOW, update(ONE), insert(ONE, "a")]

# The last statement of one transaction, that of another, and whether their order can make a difference.
TABLE: list[tuple[list[Call], list[Call], bool]] = [
    # the lock of a payment
    ([lock(ONE)], [lock(ONE)], True),
    ([lock(ONE)], [lock(TWO)], False),
    ([lock(ONE)], [lock_due(ONE)], True),
    ([lock(ONE)], [lock_due(TWO)], False),
    ([lock(ONE)], [DUE_PAYMENTS], False),
    ([lock_due(ONE)], [*WHOLE, COMMIT], True),
    ([*WHOLE, COMMIT], [DUE_PAYMENTS], True),
    ([lock(ONE)], [update(ONE)], True),
    ([lock(ONE)], [update(TWO)], False),
    ([lock(ONE)], [insert(ONE, "a")], False),  # FOR NO KEY UPDATE leaves foreign keys alone
    ([lock(ONE)], [create(ONE)], False),  # a lock does not keep the key of an insertion waiting
    ([lock(ONE)], [get(ONE)], False),  # readers do not wait
    ([lock(ONE)], [*WHOLE, COMMIT], True),
    ([lock(TWO)], [*WHOLE, COMMIT], False),
    ([lock(ONE)], [*WHOLE, ROLLBACK], True),
    ([lock(ONE)], [lock(ONE), COMMIT], True),
    ([lock(ONE)], [get(ONE), COMMIT], False),
    # the look-up of an attempt
    ([find(ONE, "a")], [insert(ONE, "a")], False),  # not before it is committed
    ([find(ONE, "a")], [insert(ONE, "a"), COMMIT], True),
    ([find(ONE, "a")], [insert(ONE, "b"), COMMIT], True),  # it reads the number of the last event
    ([find(ONE, "a")], [insert(TWO, "a"), COMMIT], False),
    ([find(ONE, "a")], [insert(ONE, "a"), ROLLBACK], False),
    ([find(ONE, "a")], [update(ONE), COMMIT], False),
    # the writes
    ([update(ONE)], [update(ONE)], True),
    ([update(ONE)], [create(ONE)], True),  # it waits to see whether the row stays
    ([update(ONE)], [create(TWO)], False),
    ([insert(ONE, "a")], [insert(ONE, "a")], True),
    ([insert(ONE, "a")], [insert(ONE, "b")], True),  # both may be the one captured attempt
    ([insert(ONE, "a")], [insert(ONE, "b", "already_captured")], True),  # both are the third event
    ([insert(ONE, "a")], [insert(ONE, "b", "already_captured", 4)], False),
    ([insert(ONE, "a")], [move(ONE)], True),
    ([insert(ONE, "a")], [create(ONE)], False),  # a foreign key does not wait for a row that is not committed
    ([insert(ONE, "a")], [insert(TWO, "a")], False),
    ([insert(ONE, "a")], [move(TWO)], False),
    ([move(ONE)], [move(TWO)], False),
    ([move(ONE), COMMIT], [get(ONE)], True),
    ([move(ONE), COMMIT], [find(ONE, "a")], True),  # the same
    ([move(TWO), COMMIT], [find(ONE, "a")], False),
    ([create(ONE)], [create(ONE)], True),
    ([create(ONE)], [create(TWO)], False),
    ([create(ONE)], [create(ONE), COMMIT], True),
    ([create(ONE)], [DUE_PAYMENTS], False),  # not before it is committed
    ([create(ONE), COMMIT], [DUE_PAYMENTS], True),
    # reads
    ([get(ONE)], [update(ONE)], False),
    ([get(ONE)], [update(ONE), COMMIT], True),
    ([get(ONE)], [update(TWO), COMMIT], False),
    ([(LIST, [ONE, ONE, 0, 10])], [insert(ONE, "a"), COMMIT], True),
    ([(LIST, [ONE, ONE, 0, 10])], [insert(TWO, "a"), COMMIT], False),
    ([(LIST, [ONE, ONE, 0, 10])], [*WHOLE, COMMIT], True),
    # ends
    ([*WHOLE, COMMIT], [lock(TWO), update(TWO), insert(TWO, "a"), COMMIT], False),
    ([*WHOLE, ROLLBACK], [*WHOLE, ROLLBACK], False),
    ([update(ONE), COMMIT], [insert(ONE, "a"), COMMIT], True),  # each is checked at the end by what it sees
    # the clock, with itself
    ([NOW], [NOW], False),
    ([NOW], [*WHOLE, COMMIT], False),
]


def _described(calls: list[Call]) -> str:
    names = {
        LOCK: "lock", FIND: "find", UPDATE: "update", INSERT: "insert", READ_CLOCK: "clock", GET: "get",
        MOVE: "move", LIST: "list", CREATE: "create", DUE: "due",
        LOCK_DUE: "lock-due",
    }  # fmt: skip
    return ",".join(
        names.get(sql, sql) + "".join(f"-{value}"[-2:] for value in values if value in (ONE, TWO, "a", "b"))
        for sql, values in calls
    )


@pytest.mark.parametrize(
    ("one", "other", "dependent"),
    TABLE,
    ids=[f"{_described(one)}|{_described(other)}" for one, other, _ in TABLE],
)
def test_dependence(catalog: Catalog, one: list[Call], other: list[Call], *, dependent: bool) -> None:
    first, second = step(catalog, *one), step(catalog, *other)
    assert first.dependent(second) is dependent
    assert second.dependent(first) is dependent


@pytest.mark.parametrize(
    ("call", "dependent"),
    [
        (NOW, True),
        (get(ONE), True),
        (create(ONE), True),
        (DUE_PAYMENTS, True),
        (lock(ONE), False),
        (find(ONE, "a"), False),
        (update(ONE), False),
        (insert(ONE, "a"), False),
        (("SELECT *, clock_timestamp() FROM payments WHERE payment_id = $1 FOR UPDATE", [ONE]), True),
        (("INSERT INTO payments (payment_id, amount_cents) VALUES ($1, 5)", [ONE]), True),  # by a default
        (("SELECT statement_timestamp()", []), True),
    ],
)
def test_what_depends_on_a_movement_of_the_clock(catalog: Catalog, call: Call, *, dependent: bool) -> None:
    assert step(catalog, call).dependent(TICK) is dependent


# Broken captures: the first statement of one, against what a whole and correct one does.
@pytest.mark.parametrize(
    ("broken", "other", "dependent"),
    [
        pytest.param((LOCK.replace("NO KEY ", ""), [ONE]), [insert(ONE, "a")], True, id="for-update|insert"),
        pytest.param((LOCK.replace("NO KEY ", ""), [ONE]), [lock(ONE)], True, id="for-update|lock"),
        pytest.param((LOCK.replace("NO KEY UPDATE", "SHARE"), [ONE]), [lock(ONE)], True, id="share|lock"),
        pytest.param((LOCK.replace("NO KEY UPDATE", "SHARE"), [ONE]), [update(ONE)], True, id="share|update"),
        pytest.param(
            (LOCK.replace("NO KEY UPDATE", "SHARE"), [ONE]), [insert(ONE, "a")], False, id="share|insert"
        ),
        pytest.param((WITHOUT_LOCK, [ONE]), [lock(ONE)], False, id="no-lock|lock"),
        pytest.param((WITHOUT_LOCK, [ONE]), [*WHOLE, COMMIT], True, id="no-lock|commit"),
        pytest.param((LOCK_AND_FIND, [ONE, "a"]), [lock(ONE)], True, id="lock-and-find|lock"),
        pytest.param(
            (LOCK_AND_FIND, [ONE, "a"]), [insert(TWO, "a"), COMMIT], True, id="lock-and-find|commit-a"
        ),
        pytest.param(
            (LOCK_AND_FIND, [ONE, "a"]), [insert(TWO, "b"), COMMIT], False, id="lock-and-find|commit-b"
        ),
        pytest.param((GUARDED, [ONE]), [lock(ONE)], True, id="guarded|lock"),
        pytest.param((GUARDED, [ONE]), [update(ONE)], True, id="guarded|update"),
        pytest.param((GUARDED, [ONE]), [lock(TWO)], False, id="guarded|lock-other"),
    ],
)
def test_dependence_of_broken_captures(
    catalog: Catalog, broken: Call, other: list[Call], *, dependent: bool
) -> None:
    assert step(catalog, broken).dependent(step(catalog, *other)) is dependent


def test_two_shared_locks_are_independent(catalog: Catalog) -> None:
    shared = step(catalog, (LOCK.replace("NO KEY UPDATE", "SHARE"), [ONE]))
    assert not shared.dependent(shared)


@pytest.mark.parametrize("name", ["pg_advisory_xact_lock", "pg_try_advisory_xact_lock_shared"])
def test_an_advisory_lock_of_a_transaction_depends_on_others_and_on_ends_that_give_one_back(
    catalog: Catalog, name: str
) -> None:
    taken: Call = (f"SELECT {name}(hashtext($1))", ["x"])
    advisory = step(catalog, taken)
    alone: Call = ("SELECT pg_advisory_xact_lock(1)", [])
    assert advisory.dependent(step(catalog, alone))
    assert advisory.dependent(step(catalog, alone, COMMIT))
    assert advisory.dependent(step(catalog, alone, ROLLBACK))
    assert not advisory.dependent(step(catalog, get(ONE)))
    assert not advisory.dependent(step(catalog, lock(ONE), COMMIT))
    assert advisory.dependent(step(catalog, ("SELECT pg_advisory_lock(1)", [])))


@pytest.mark.parametrize(
    ("mine", "theirs", "dependent"),
    [
        ((f"{TRY}(hashtext($1))", ["x"]), (f"{TRY}(hashtext($1)) AS taken", ["y"]), False),
        ((f"{TRY}(hashtextextended($1, 0))", ["x"]), (f"{TAKE}(hashtextextended('y', 0))", []), False),
        ((f"{TRY}(hashtextextended($1, 0))", ["x"]), (f"{TAKE}(hashtextextended('x', 0))", []), True),
        ((f"{TAKE}(1)", []), (f"{TAKE}($1)", [2]), False),
        ((f"{TAKE}(1)", []), (f"{TAKE}($1)", [1]), True),
        ((f"{TAKE}(1, hashtext($1))", ["x"]), (f"{TAKE}(2, hashtext($1))", ["x"]), False),
        ((f"{TAKE}(1, hashtext($1))", ["x"]), (f"{TAKE}(1, hashtext($1))", ["y"]), False),
        ((f"{TAKE}_shared(1)", []), (f"{TRY}_shared(1)", []), False),
        ((f"{TAKE}_shared(1)", []), (f"{TRY}(1)", []), True),
        # keys that may be equal: made in different ways, of what may be anything, or cut short
        ((f"{TAKE}(hashtext($1))", ["x"]), (f"{TAKE}(hashtextextended($1, 0))", ["y"]), True),
        ((f"{TAKE}(hashtext($1))", ["x"]), (f"{TAKE}(1)", []), True),
        ((f"{TAKE}(hashtext($1) % 8)", ["x"]), (f"{TAKE}(hashtext($1) % 8)", ["y"]), True),
        ((f"{TAKE}(hashtextextended('y', $1))", [1]), (f"{TAKE}(hashtextextended('x', $1))", [1]), True),
        ((f"{TAKE}(1), 1", []), (f"{TAKE}(2), 1", []), True),
    ],
)
def test_advisory_locks_whose_keys_differ_are_independent(
    catalog: Catalog, mine: Call, theirs: Call, dependent: bool
) -> None:
    assert step(catalog, mine).dependent(step(catalog, theirs)) is dependent
    assert step(catalog, mine, COMMIT).dependent(step(catalog, theirs)) is dependent


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_advisory_xact_lock(1) FROM payments",
        "SELECT pg_advisory_xact_lock(account_id) FROM (SELECT account_id FROM payments ORDER BY 1) AS due",
        "SELECT pg_advisory_lock(1)",
    ],
)
def test_another_advisory_lock_depends_on_everything(catalog: Catalog, sql: str) -> None:
    assert step(catalog, (sql, [])).everything
    assert step(catalog, (sql, []), COMMIT).everything


def test_a_statement_that_asks_for_the_start_of_its_transaction_makes_its_beginning_read_the_clock(
    catalog: Catalog,
) -> None:
    sql = "SELECT *, now() FROM payments WHERE payment_id = $1 FOR NO KEY UPDATE"
    transaction = TransactionFootprint(catalog)
    asked = []
    for statement, values in (("BEGIN", []), (LOCK, [ONE]), (sql, [ONE]), ("COMMIT", [])):
        footprint = transaction.executed(statement, all_bound(values))
        assert not footprint.dependent(TICK)
        asked.append(transaction.start_read_clock)
    assert asked == [False, False, True, False]
    assert transaction.pending(sql, all_bound([ONE])).dependent(TICK)  # its beginning is its own


def test_a_client_that_moves_the_clock_depends_on_who_reads_it(catalog: Catalog) -> None:
    moving = step(catalog, ("SELECT test_clock.advance_us($1)", [1]))
    assert moving.dependent(step(catalog, NOW))
