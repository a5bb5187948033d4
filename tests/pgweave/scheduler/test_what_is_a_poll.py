"""Which statements are a poll: the same, with the same answers, that change nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pgweave.gate import HeldStatement
from pgweave.gate.units import Unit
from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import EVERYTHING, NOTHING, Access, Footprint, Mode, Rows
from pgweave.scheduler import Process
from pgweave.scheduler.polling import Polling
from pgweave.sql.snapshots import WRITE_OR_END

PUBLISHES = Footprint.of(Access(Mode.PUBLISH, Rows("jobs")))
READS = Footprint.of(Access(Mode.READ, Rows("jobs")))
Round = list[tuple[str, str, Footprint]]

BEGIN, COMMIT = ("BEGIN", "BEGIN", NOTHING), ("COMMIT", "COMMIT", PUBLISHES)
CLAIM = "INSERT INTO jobs VALUES (1) ON CONFLICT DO NOTHING"
LOOKS: list[Round] = [
    [("SELECT state FROM jobs", "SELECT 1", READS)],
    [("UPDATE jobs SET state = 'mine' WHERE state = 'free'", "UPDATE 0", PUBLISHES)],
    [(CLAIM, "INSERT 0 0", PUBLISHES)],
    [BEGIN, (CLAIM, "INSERT 0 0", READS), COMMIT],
    [("BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN", NOTHING), ("COMMIT", "COMMIT", WRITE_OR_END)],
    [("SELECT pg_try_advisory_lock(1)", "SELECT 1", EVERYTHING)],
    [("WITH c AS (UPDATE jobs SET state = 'mine' RETURNING 1) SELECT * FROM c", "SELECT 0", PUBLISHES)],
]
CHANGES: list[Round] = [
    [("UPDATE jobs SET tries = tries + 1", "UPDATE 1", PUBLISHES)],
    [("INSERT INTO jobs VALUES (1)", "INSERT 0 10", PUBLISHES)],
    [BEGIN, ("UPDATE jobs SET tries = tries + 1", "UPDATE 1", READS), COMMIT],
    [BEGIN, ("SELECT try_again()", "SELECT 1", READS), COMMIT],
    [("SELECT try_again()", "SELECT 1", EVERYTHING)],
    [("WITH c AS (UPDATE jobs SET tries = 1 RETURNING 1) SELECT * FROM c", "SELECT 1", PUBLISHES)],
]


def polls_after(rounds: list[Round], *, values: Any = lambda _number: (), operations: int = 1) -> int | None:
    """In which round, from 0, a process is first found to poll."""
    polling, process = Polling(), Process(0, "client", lambda: 0)
    process.begin("operation")
    for number, statements in enumerate(rounds):
        if operations > 1:
            process.begin("operation")
        for sql, tag, touched in statements:
            statement = HeldStatement(cast("Any", None), sql, values(number), Unit(b"", True, sql))
            process.parked.append(statement)
            if polling.polls(process):
                return number
            process.parked.popleft()
            statement.tag = tag
            polling.note(process, statement, touched)
    return None


@pytest.mark.parametrize("what", LOOKS)
def test_what_finds_nothing_to_change_is_a_poll_the_fourth_time(what: Round) -> None:
    assert polls_after([what] * 4) == 3


@pytest.mark.parametrize("what", CHANGES)
def test_what_may_have_changed_something_is_none_however_often(what: Round) -> None:
    assert polls_after([what] * 20) is None


def test_who_asks_for_something_else_each_time_does_not_poll() -> None:
    def look(number: int) -> Round:
        return [(f"SELECT state FROM jobs WHERE id = {number}", "SELECT 1", READS)]

    assert polls_after([look(number) for number in range(20)]) is None
    by_value: Round = [("SELECT state FROM jobs WHERE id = $1", "SELECT 1", READS)]
    assert polls_after([by_value] * 20, values=lambda at: (Bound(0, 0, b"%d" % at),)) is None


def test_comments_and_names_of_savepoints_are_no_difference() -> None:
    def look(number: int) -> Round:
        return [(f"SAVEPOINT s{number} /* request {number} */", "SAVEPOINT", NOTHING), *LOOKS[0]]

    assert polls_after([look(number) for number in range(4)]) == 3


def test_a_new_operation_is_no_poll() -> None:
    assert polls_after([LOOKS[0]] * 20, operations=2) is None
