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

from pgweave.embedded import EmbeddedPostgres
from pgweave.interleavings.footprint import Access, Footprint, Lock, Mode
from pgweave.sql.catalog import Catalog
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.snapshots import WRITE_OR_END
from pgweave.sql.transactions import TransactionFootprint
from tests.pgweave.sql.scenes import ACCOUNTS, PAYMENTS, Scene
from tests.pgweave.sql.support import bound

_WAIT_MS = 150
_LOOKS = 3
_EXAMPLES = 120
_FEWER = 40


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

    def begin(self, level: str) -> None:
        begin = f"BEGIN ISOLATION LEVEL {level}"
        self.connection.execute("ROLLBACK")
        self.connection.execute(begin.encode())
        self.transaction = TransactionFootprint(self._catalog)
        self.transaction.executed(begin)

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

    def __init__(self, dsn: str, scene: Scene) -> None:
        self.scene = scene
        self.level = "READ COMMITTED"
        self.compared = 0
        self.owner = psycopg.connect(dsn, autocommit=True)
        self.owner.execute(scene.schema.encode())
        catalog = read_catalog(dsn, "payment_clock")
        self.clients = (Client(dsn, catalog), Client(dsn, catalog))

    def start(self, beginnings: Sequence[Sequence[Call]]) -> None:
        for client in self.clients:
            client.connection.execute("ROLLBACK")
        self.owner.execute(self.scene.reset.encode())
        for client, calls in zip(self.clients, beginnings, strict=True):
            client.begin(self.level)
            for call in calls:
                client.take(call)

    def outcome(
        self, beginnings: Sequence[Sequence[Call]], steps: Sequence[Call], order: Sequence[int]
    ) -> tuple[dict[int, Any], list[Footprint], list[Any]]:
        """What each step answered and touched in this order, and the tables after both ended."""
        self.start(beginnings)
        taken = {index: self.clients[index].take(steps[index]) for index in order}
        ends = [client.take(COMMIT)[0] for client in self.clients]
        state = sorted(map(repr, self.owner.execute(self.scene.state.encode()).fetchall()))
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
        self.compared += 1
        reversed_answers, _, reversed_after = self.outcome(beginnings, steps, (1, 0))
        if (answers, after) == (reversed_answers, reversed_after):
            return None
        return f"{answers} {after}\nand the other way round\n{reversed_answers} {reversed_after}"

    def steady_disagreement(self, beginnings: Sequence[Sequence[Call]], steps: Sequence[Call]) -> str | None:
        """A disagreement that is there each time: a busy machine may be late for a lock, once."""
        found = [self.disagreement(beginnings, steps)]
        while found[-1] is not None and len(found) < _LOOKS:
            found.append(self.disagreement(beginnings, steps))
        return found[-1]

    def close(self) -> None:
        for connection in (self.owner, *(client.connection for client in self.clients)):
            connection.close()


@pytest.fixture(scope="module")
def worlds(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[dict[str, World]]:
    scenes = {"accounts": ACCOUNTS, "payments": PAYMENTS}
    names = {name: f"soundness_{name}" for name in scenes}
    worlds = {
        name: World(postgres_server.create_database(names[name], template=migrated_template), scene)
        for name, scene in scenes.items()
    }
    yield worlds
    for name, world in worlds.items():
        world.close()
        postgres_server.drop_database(names[name])


def calls(scene: Scene) -> st.SearchStrategy[Call]:
    def call(statement: tuple[str, str]) -> st.SearchStrategy[Call]:
        sql, names = statement
        values = [st.sampled_from(scene.values[name]) for name in names.split()]
        return st.tuples(*values).map(lambda drawn: Call(sql, drawn))

    return st.sampled_from(scene.statements).flatmap(call)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("name", ["accounts", "payments"])
def test_independent_steps_may_change_places(
    worlds: dict[str, World], name: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds[name]
    monkeypatch.setattr(world, "level", level)
    monkeypatch.setattr(world, "compared", 0)
    beginnings = st.lists(calls(world.scene), max_size=2)
    steps = calls(world.scene) | st.sampled_from([COMMIT, ROLLBACK])

    examples = _EXAMPLES if level == "READ COMMITTED" else _FEWER

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(begun=st.tuples(beginnings, beginnings), next_steps=st.tuples(steps, steps))
    def check(begun: tuple[list[Call], list[Call]], next_steps: tuple[Call, Call]) -> None:
        disagreement = world.steady_disagreement(begun, next_steps)
        assert disagreement is None, disagreement

    check()
    # most pairs are independent, and were tried; with one snapshot only those are that have not written
    assert world.compared > examples // (4 if level == "READ COMMITTED" else 20)


def no_lock(strength: Lock) -> Kept:
    return lambda access: access.mode is not Mode.LOCK or access.lock is not strength


def no(mode: Mode) -> Kept:
    return lambda access: access.mode is not mode


READ_OWNER = Call("SELECT * FROM owner WHERE id = $1", (1,))
READ_SECOND = Call("SELECT * FROM owner WHERE id = $1", (2,))
LOCK_OWNER = Call("SELECT * FROM owner WHERE id = $1 FOR UPDATE", (1,))
ADD_TO_OWNER = Call("UPDATE owner SET n = n + 3 WHERE id = $1", (1,))
ADD_TO_SECOND = Call("UPDATE owner SET n = n + 3 WHERE id = $1", (2,))
ADVISORY = Call("SELECT pg_advisory_xact_lock($1)", (1,))
TRIED = Call("SELECT pg_try_advisory_xact_lock($1)", (1,))
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
        pytest.param(([], []), (ADVISORY, TRIED), no_lock(Lock.UPDATE), id="advisory-locks-wait"),
        pytest.param(([ADVISORY], []), (COMMIT, TRIED), no(Mode.RELEASE), id="advisory-locks-are-released"),
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
    worlds: dict[str, World], begun: tuple[list[Call], list[Call]], next_steps: tuple[Call, Call], kept: Kept
) -> None:
    world = worlds["accounts"]
    must_be_noticed(world, begun, next_steps, kept)


def must_be_noticed(
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


@pytest.mark.parametrize(
    ("begun", "next_steps"),
    [
        pytest.param(
            ([READ_OWNER, ADD_TO_SECOND], [READ_SECOND, ADD_TO_OWNER]), (COMMIT, COMMIT), id="the-first-wins"
        ),
        pytest.param(
            ([READ_OWNER, ADD_TO_SECOND], [READ_SECOND]), (COMMIT, ADD_TO_OWNER), id="a-write-comes-too-late"
        ),
    ],
)
def test_what_serializable_transactions_do_to_each_other_is_noticed(
    worlds: dict[str, World],
    begun: tuple[list[Call], list[Call]],
    next_steps: tuple[Call, Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worlds["accounts"], "level", "SERIALIZABLE")
    among = WRITE_OR_END.accesses
    must_be_noticed(worlds["accounts"], begun, next_steps, lambda access: access not in among)
