"""The front door with a spec: whether some order of the operations explains what the clients heard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgweave import Operation, Spec, UseError, check_history, explore
from pgweave.clients import Heard
from pgweave.history.operations import Outcome
from pgweave.scenario import Scenario
from pgweave.scheduler import ScheduledOperation
from tests.support.postgres import Database


class Seats(Spec[int]):
    """Ten seats; who books some is told how many are left."""

    def initial(self) -> int:
        return 10

    def step(self, state: int, operation: Operation) -> tuple[int, ...]:
        assert isinstance(operation.value, dict)
        left = state - operation.value["count"]
        return (left,) if operation.response == left else ()


def ten_seats(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS seats (free int NOT NULL)")
        db.execute("DELETE FROM seats")
        db.execute("INSERT INTO seats VALUES (10)")


def booking(lock: str) -> Callable[[int, str], int]:
    def book(count: int, dsn: str) -> int:
        with psycopg.connect(dsn) as db:
            row = db.execute(f"SELECT free FROM seats{lock}").fetchone()
            assert row is not None
            db.execute("UPDATE seats SET free = %s", [row[0] - count])
        return int(row[0]) - count

    return book


LOCKING, NAIVE = booking(" FOR UPDATE"), booking("")


def test_answers_that_an_order_explains_hold(empty_database: Database) -> None:
    clients: list[Any] = [partial(LOCKING, 1), [partial(LOCKING, 2), partial(LOCKING, 0)]]
    result = explore(empty_database.dsn, setup=ten_seats, clients=clients, spec=Seats())
    assert (result.holds, result.verdict) == (True, "holds"), str(result)


def test_answers_that_no_order_explains_are_drawn(empty_database: Database) -> None:
    clients = [partial(NAIVE, 2), partial(NAIVE, 2)]
    result = explore(empty_database.dsn, setup=ten_seats, clients=clients, spec=Seats())
    assert result.problem == "not linearizable: no order of the operations explains book 2 -> 8"
    assert "but Seats answers otherwise" in result.picture
    assert "> book 2" in result.picture
    assert result.verdict == "violated"


def test_a_client_of_several_operations_has_several_answers(empty_database: Database) -> None:
    seen = []

    def keep(_dsn: str, _world: object, answers: list[Any]) -> None:
        seen.append(answers)

    clients: list[Any] = [partial(LOCKING, 1), [partial(LOCKING, 2), partial(LOCKING, 3)]]
    result = explore(empty_database.dsn, setup=ten_seats, clients=clients, check=keep, spec=Seats())
    assert result.holds
    assert [9, [7, 4]] in seen
    assert all(len(one) == 2 and len(two) == 2 for one, two in [([a, 0], b) for a, b in seen])


def test_what_the_spec_raises_is_told(empty_database: Database) -> None:
    class Wrong(Seats):
        def step(self, state: int, operation: Operation) -> Any:
            return state - len(operation.f)

    with pytest.raises(UseError, match=r"the spec Wrong cannot be asked: .* step returns a tuple"):
        explore(empty_database.dsn, setup=ten_seats, clients=[partial(LOCKING, 1)], spec=Wrong())
    with pytest.raises(UseError, match=r"the spec .* lacks .*: derive it from pgweave\.Spec"):
        explore(empty_database.dsn, setup=ten_seats, clients=[LOCKING], spec=object())  # type: ignore[arg-type]
    with pytest.raises(UseError, match="nothing says what is right: give a check, or a spec"):
        explore(empty_database.dsn, setup=ten_seats, clients=[LOCKING])


def a(count: int) -> int:
    return count


def heard(*operations: tuple[int, int | None, int], begun_after: list[int]) -> list[tuple[int, int, int]]:
    """Clients, invocations and responses, of operations with a client, a first step and a step of answer."""
    clients = [[partial(a, 0)], [partial(a, 1)]]
    found = Heard(Scenario(ten_seats, clients, spec=Seats()), "", None)
    for (client, first, answered), after in zip(operations, begun_after, strict=True):
        performed = ScheduledOperation(client, clients[client][0], 0, first, answered, answered)
        found.note(performed, after)
    return [(each.process, each.called, each.returned or -1) for each in found.history()]


def test_an_operation_lasts_from_its_first_statement_to_its_answer() -> None:
    # Client 1 was begun before client 0 was answered, but sent its first statement later.
    assert heard((0, 0, 1), (1, 2, 3), begun_after=[0, 0]) == [(0, 0, 1), (1, 2, 3)]
    assert heard((0, 0, 2), (1, 1, 3), begun_after=[0, 0]) == [(0, 0, 2), (1, 1, 3)]


def test_an_operation_without_a_statement_is_not_put_after_what_it_met() -> None:
    assert heard((0, 0, 1), (1, None, 1), begun_after=[0, 0]) == [(0, 0, 2), (1, 1, 3)]
    assert heard((0, 0, 1), (1, None, 1), begun_after=[0, 1]) == [(0, 0, 1), (1, 2, 3)]
    # Both were answered before any statement was sent: none of the first client's operations began earlier.
    assert heard((0, None, 0), (0, 0, 1), begun_after=[0, 1]) == [(0, 0, 1), (0, 2, 3)]


def test_histories_are_judged_without_a_database(tmp_path: Path) -> None:
    right = [
        Operation(0, "book", {"count": 1}, Outcome.OK, 9, 0, 2),
        Operation(1, "book", {"count": 2}, Outcome.OK, 7, 1, 3),
    ]
    check_history(Seats(), right).assert_holds()
    twice = [right[0], Operation(1, "book", {"count": 1}, Outcome.OK, 9, 1, 3)]
    with pytest.raises(AssertionError, match="not linearizable"):
        check_history(Seats(), twice).assert_holds()
    file = tmp_path / "one.jsonl"
    file.write_text(
        '{"type": "invoke", "process": 0, "f": "book", "value": {"count": 3}}\n'
        '{"type": "ok", "process": 0, "f": "book", "value": 8}\n'
    )
    assert check_history(Seats(), file).problem.endswith("explains book 3 -> 8")
    with pytest.raises(UseError, match="there is no history to be judged"):
        check_history(Seats(), tmp_path / "none")


@pytest.mark.parametrize("method", ["expected", "describe"])
def test_what_is_not_linearizable_is_told_though_the_spec_cannot_explain_it(method: str) -> None:
    def raises(*_: object) -> str:
        raise TypeError("no answer is to be had")

    spec = type("Mute", (Seats,), {method: raises})()
    wrong = [Operation(0, "book", {"count": 1}, Outcome.OK, 3, 0, 1)]
    found = check_history(spec, wrong)
    assert found.verdict == "violated"
    assert found.problem == (
        "not linearizable; it cannot be explained: the spec Mute raised TypeError: no answer is to be had"
    )


class Register(Spec[int]):
    """What was written last is read."""

    def initial(self) -> int:
        return 0

    def step(self, state: int, operation: Operation) -> tuple[int, ...]:
        if operation.f == "write":
            return (1,)
        return (state,) if operation.response == state else ()


def register_and_summary(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        for table in ("register", "summary"):
            db.execute(f"CREATE TABLE IF NOT EXISTS {table} (value int NOT NULL)".encode())
            db.execute(f"DELETE FROM {table}".encode())
            db.execute(f"INSERT INTO {table} VALUES (0)".encode())


def write(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("UPDATE register SET value = 1")


def reading(table: str) -> Callable[[str], int]:
    def read(dsn: str) -> int:
        with psycopg.connect(dsn, autocommit=True) as db:
            row = db.execute(f"SELECT value FROM {table}".encode()).fetchone()
        assert row is not None
        return int(row[0])

    return read


@pytest.mark.parametrize("turn", [1, -1])
def test_it_is_judged_in_orders_that_were_not_run(empty_database: Database, turn: int) -> None:
    """The summary is never brought up to date: no order of statements shows it, but that of the answers."""

    def explored(table: str) -> tuple[int, str]:
        clients: list[Any] = [write, reading(table)][::turn]
        result = explore(empty_database.dsn, setup=register_and_summary, clients=clients, spec=Register())
        return result.schedules, result.verdict

    assert explored("summary") == (1, "violated")
    assert explored("register") == (2, "holds")


def test_too_many_operations_without_an_order_are_refused(empty_database: Database) -> None:
    clients = [[reading("register")] * 8, [reading("register")] * 8]
    with pytest.raises(UseError, match="16 operations can end in more than 1000 orders"):
        explore(empty_database.dsn, setup=register_and_summary, clients=clients, spec=Register())
