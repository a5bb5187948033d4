"""Statements that are said to be independent are: in either order they do the same, and neither waits.

Two sessions each begin a transaction with some statements. Then each has one step to take. If their
footprints are independent, the steps are taken in both orders, from the same beginning, and everything must
be the same: what each answers or why it fails, whether it has to wait, and what the tables hold once both
have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments_verify.interleavings.footprint import Access, Footprint, Lock, Mode
from payments_verify.sql.catalog import Catalog
from payments_verify.sql.transactions import TransactionFootprint
from tests.harness.sql.support import bound
from tests.support.postgres import Database

_SCHEMA = """
    CREATE TABLE owner (id bigint PRIMARY KEY, email text UNIQUE, n bigint NOT NULL DEFAULT 0);
    CREATE TABLE item (
        id bigint PRIMARY KEY, owner_id bigint REFERENCES owner (id), tag text, n bigint NOT NULL DEFAULT 0
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
"""
_RESET = """
    DELETE FROM item; DELETE FROM owner;
    INSERT INTO owner VALUES (1, 'a', 0), (2, 'b', 5);
    INSERT INTO item VALUES (1, 1, 'main', 0), (2, 2, 'other', 0);
"""
_STATE = """
    SELECT 'owner', id, email, n::text FROM owner UNION ALL SELECT tag, id, owner_id::text, n::text FROM item
"""
_WAIT_MS = 150

# Integers are ids from 1 to 3, strings are e-mail addresses or tags.
_ID, _EMAIL, _TAG = "id", "email", "tag"
_STATEMENTS: list[tuple[str, list[str]]] = [
    ("SELECT * FROM owner WHERE id = $1", [_ID]),
    ("SELECT * FROM owner WHERE email = $1", [_EMAIL]),
    ("SELECT * FROM item WHERE owner_id = $1", [_ID]),
    ("SELECT * FROM owner LEFT JOIN item ON item.owner_id = owner.id WHERE owner.id = $1", [_ID]),
    ("SELECT count(*) FROM item WHERE id = $1 OR tag = $2", [_ID, _TAG]),
    ("SELECT * FROM owner WHERE id = $1 FOR UPDATE", [_ID]),
    ("SELECT * FROM owner WHERE id = $1 FOR NO KEY UPDATE", [_ID]),
    ("SELECT * FROM owner WHERE id = $1 FOR SHARE", [_ID]),
    ("SELECT * FROM owner WHERE id = $1 FOR KEY SHARE", [_ID]),
    ("SELECT id FROM owner WHERE n < 9 FOR NO KEY UPDATE SKIP LOCKED", []),
    ("SELECT * FROM owner, item WHERE owner.id = $1 AND owner_id = owner.id FOR UPDATE OF item", [_ID]),
    ("UPDATE owner SET n = n + 1 WHERE id = $1", [_ID]),
    ("UPDATE owner SET n = n + 3 WHERE email = $1 RETURNING id, n", [_EMAIL]),
    ("UPDATE owner SET email = $1 WHERE id = $2", [_EMAIL, _ID]),
    ("UPDATE owner SET id = $1 WHERE id = $2", [_ID, _ID]),
    ("UPDATE item SET n = n + 1 WHERE id = $1", [_ID]),
    ("UPDATE item SET tag = $1 WHERE id = $2", [_TAG, _ID]),
    ("UPDATE item SET owner_id = $1 WHERE id = $2", [_ID, _ID]),
    ("UPDATE item SET n = owner.n FROM owner WHERE owner.id = owner_id AND item.id = $1", [_ID]),
    ("DELETE FROM owner WHERE id = $1", [_ID]),
    ("DELETE FROM item WHERE id = $1", [_ID]),
    ("INSERT INTO owner (id, email) VALUES ($1, $2)", [_ID, _EMAIL]),
    ("INSERT INTO owner (id, email) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id", [_ID, _EMAIL]),
    ("INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id", [_ID]),
    ("INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = owner.n + 1 RETURNING n", [_ID]),
    ("INSERT INTO item VALUES ($1, $2, $3, 0)", [_ID, _ID, _TAG]),
    ("INSERT INTO item SELECT $1, id, 'other' FROM owner WHERE id = $2", [_ID, _ID]),
    ("WITH gone AS (DELETE FROM item WHERE id = $1 RETURNING n) SELECT * FROM gone", [_ID]),
]
_VALUES = {
    _ID: st.integers(1, 3),
    _EMAIL: st.sampled_from(["a", "b", "c"]),
    _TAG: st.sampled_from(["main", "other"]),
}


@dataclass(frozen=True)
class Call:
    """A statement and its values."""

    sql: str
    values: tuple[Any, ...] = ()

    @property
    def for_psycopg(self) -> tuple[bytes, tuple[Any, ...]]:
        """With psycopg's placeholders, in the order in which they stand."""
        text, values = self.sql.replace("%", "%%"), []
        for number in sorted(range(1, len(self.values) + 1), key=lambda number: self.sql.index(f"${number}")):
            text = text.replace(f"${number}", "%s")
            values.append(self.values[number - 1])
        return text.encode(), tuple(values)


COMMIT, ROLLBACK = Call("COMMIT"), Call("ROLLBACK")


Kept = Callable[[Access], bool]


class Client:
    """A session, and what is tracked of it; ``kept`` makes its footprints wrong."""

    kept: Kept | None = None

    def __init__(self, dsn: str, catalog: Catalog) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute(f"SET lock_timeout = {_WAIT_MS}")
        self._catalog = catalog

    def begin(self) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN")
        self.transaction = TransactionFootprint(self._catalog)
        self.transaction.executed("BEGIN")

    def pending(self, call: Call) -> Footprint:
        return self._weakened(self.transaction.pending(call.sql, [bound(value) for value in call.values]))

    def take(self, call: Call) -> tuple[Any, Footprint]:
        """Run a statement; what it answered, and what it touched.

        One that would have to wait is taken back, and its transaction goes on as if it were waiting.
        """
        pending, values = self.pending(call), [bound(value) for value in call.values]
        text, arguments = call.for_psycopg
        ends = call in (COMMIT, ROLLBACK)
        if self.transaction.failed and not ends:
            return "refused", pending
        try:
            if not ends:
                self.connection.execute("SAVEPOINT step")
            cursor = self.connection.execute(text, arguments)
        except psycopg.errors.LockNotAvailable:
            self.connection.execute("ROLLBACK TO step")
            return "waits", pending
        except psycopg.Error as error:
            self.connection.execute("ROLLBACK")
            return error.sqlstate, self._weakened(self.transaction.executed(call.sql, values, failed=True))
        rows = sorted(map(repr, cursor.fetchall())) if cursor.description else cursor.rowcount
        return rows, self._weakened(self.transaction.executed(call.sql, values))

    def _weakened(self, footprint: Footprint) -> Footprint:
        return replace(footprint, accesses=frozenset(filter(self.kept, footprint.accesses)))


class World:
    """A database with two clients."""

    def __init__(self, dsn: str, catalog: Catalog) -> None:
        self.owner = psycopg.connect(dsn, autocommit=True)
        self.clients = (Client(dsn, catalog), Client(dsn, catalog))

    def start(self, beginnings: Sequence[Sequence[Call]]) -> None:
        for client in self.clients:
            client.connection.execute("ROLLBACK")
        self.owner.execute(_RESET.encode())
        for client, calls in zip(self.clients, beginnings, strict=True):
            client.begin()
            for call in calls:
                client.take(call)

    def outcome(
        self, beginnings: Sequence[Sequence[Call]], steps: Sequence[Call], order: Sequence[int]
    ) -> tuple[dict[int, Any], list[Footprint], list[Any]]:
        """What each step answered and touched in this order, and the tables after both ended."""
        self.start(beginnings)
        taken = {index: self.clients[index].take(steps[index]) for index in order}
        ends = [client.take(COMMIT)[0] for client in self.clients]
        state = sorted(map(repr, self.owner.execute(_STATE.encode()).fetchall()))
        return {i: taken[i][0] for i in (0, 1)}, [taken[i][1] for i in (0, 1)], [ends, state]

    def disagreement(self, beginnings: Sequence[Sequence[Call]], steps: Sequence[Call]) -> str | None:
        """How the two orders of independent steps differ; ``None`` if they do not, or may differ."""
        self.start(beginnings)
        first, second = (client.pending(step) for client, step in zip(self.clients, steps, strict=True))
        if first.dependent(second):
            return None
        answers, touched, after = self.outcome(beginnings, steps, (0, 1))
        if touched[0].dependent(touched[1]):
            return None
        reversed_answers, _, reversed_after = self.outcome(beginnings, steps, (1, 0))
        if (answers, after) == (reversed_answers, reversed_after):
            return None
        return f"{answers} {after}\nand the other way round\n{reversed_answers} {reversed_after}"

    def close(self) -> None:
        for connection in (self.owner, *(client.connection for client in self.clients)):
            connection.close()


@pytest.fixture(scope="module")
def world(shared_database: Database) -> Iterator[World]:
    with psycopg.connect(shared_database.dsn, autocommit=True) as connection:
        connection.execute(_SCHEMA.encode())
    world = World(shared_database.dsn, Catalog.load(shared_database.dsn))
    yield world
    world.close()


@st.composite
def calls(draw: st.DrawFn) -> Call:
    sql, kinds = draw(st.sampled_from(_STATEMENTS))
    return Call(sql, tuple(draw(_VALUES[kind]) for kind in kinds))


beginnings = st.lists(calls(), max_size=2)
steps = calls() | st.sampled_from([COMMIT, ROLLBACK])


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(begun=st.tuples(beginnings, beginnings), next_steps=st.tuples(steps, steps))
def test_independent_steps_may_change_places(
    world: World, begun: tuple[list[Call], list[Call]], next_steps: tuple[Call, Call]
) -> None:
    disagreement = world.disagreement(begun, next_steps)
    assert disagreement is None, disagreement


def no_lock(strength: Lock) -> Kept:
    return lambda access: access.mode is not Mode.LOCK or access.lock is not strength


def no(mode: Mode) -> Kept:
    return lambda access: access.mode is not mode


READ_OWNER = Call("SELECT * FROM owner WHERE id = $1", (1,))
LOCK_OWNER = Call("SELECT * FROM owner WHERE id = $1 FOR UPDATE", (1,))
ADD_TO_OWNER = Call("UPDATE owner SET n = n + 3 WHERE id = $1", (1,))
ADD_TO_SECOND = Call("UPDATE owner SET n = n + 3 WHERE id = $1", (2,))
NEW_OWNER = Call("INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id", (3,))
SAME_OWNER = Call("INSERT INTO owner (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id", (1,))
NEW_ITEM = Call("INSERT INTO item VALUES ($1, $2, $3, 0)", (3, 1, "other"))
SECOND_ITEM = Call("INSERT INTO item VALUES ($1, $2, $3, 0)", (3, 2, "other"))


@pytest.mark.parametrize(
    ("begun", "next_steps", "kept"),
    [
        pytest.param(([ADD_TO_OWNER], []), (COMMIT, READ_OWNER), no(Mode.PUBLISH), id="commits-publish"),
        pytest.param(([ADD_TO_OWNER], []), (COMMIT, READ_OWNER), no(Mode.READ), id="reads-see"),
        pytest.param(([LOCK_OWNER], []), (COMMIT, LOCK_OWNER), no(Mode.RELEASE), id="commits-release"),
        pytest.param(([], []), (LOCK_OWNER, LOCK_OWNER), no_lock(Lock.UPDATE), id="locks-wait"),
        pytest.param(([], []), (NEW_OWNER, NEW_OWNER), no_lock(Lock.UPDATE), id="keys-are-claimed"),
        pytest.param(
            ([], []), (ADD_TO_OWNER, SAME_OWNER), no_lock(Lock.KEY_SHARE), id="updated-rows-hold-keys"
        ),
        pytest.param(([], []), (LOCK_OWNER, NEW_ITEM), no_lock(Lock.KEY_SHARE), id="references-lock"),
        pytest.param(
            ([ADD_TO_SECOND], [SECOND_ITEM]),
            (COMMIT, COMMIT),
            no(Mode.READ),
            id="deferred-triggers-read-at-commit",
        ),
    ],
)
def test_what_a_footprint_leaves_out_is_noticed(
    world: World, begun: tuple[list[Call], list[Call]], next_steps: tuple[Call, Call], kept: Kept
) -> None:
    assert world.disagreement(begun, next_steps) is None
    for client in world.clients:
        client.kept = kept
    try:
        assert world.disagreement(begun, next_steps) is not None
    finally:
        for client in world.clients:
            client.kept = None
