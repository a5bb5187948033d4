"""A race as source: what is printed makes the same race again."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races import runner as race_check
from payments_verify.payments.races.preparation import Before
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.races.runner import authorize, capture, client, create, sweep, tick, wait
from payments_verify.payments.races.source import source_of, source_of_test
from payments_verify.payments.races.strategies import drawn_races
from payments_verify.payments.scenarios.catalogue import Actor, Holder, Leaving
from payments_verify.systems import gated_service
from pgweave.interleavings.execution import Execution, Step
from pgweave.scheduler import ScheduledOperation

BEFORE: tuple[Before, ...] = (create(500), authorize(60_000_000), wait(1), create(1, payment=1))


def execution(*steps: Step, operations: tuple[ScheduledOperation, ...] = ()) -> Execution:
    return Execution(steps, complete=True, result=RaceResult((), (), operations, (), 0))


def made_by(source: str) -> tuple[Any, dict[str, Any]]:
    """What the test in a source gives to ``check_race``."""
    calls = []
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    namespace["check_race"] = lambda service, **race: calls.append((service, race))
    namespace["test_race"]()
    (call,) = calls
    return call


@given(drawn_races([500, 1]), st.lists(st.integers(0, 3), max_size=20))
def test_the_source_makes_the_same_race(drawn: Any, schedule: list[int]) -> None:
    steps = [Step(process, "SELECT payment_clock()") for process in schedule]
    source = source_of_test(BEFORE, drawn.actors, execution(*steps))
    service, race = made_by(source)
    assert service is gated_service
    assert race == {"before": [*BEFORE], "actors": [*drawn.actors], "schedule": schedule}
    # It imports what it uses and nothing else, and fits into a file of this project.
    imported = {name.name for node in ast.walk(ast.parse(source)) for name in names(node)}
    assert all(source.count(name) > 1 for name in imported)
    assert max(map(len, source.splitlines())) <= 110


def names(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.ImportFrom) else []


@given(st.text(min_size=1))
def test_any_key_is_written_so_that_it_is_read(key: str) -> None:
    command = capture(key, 500)
    namespace = {name: getattr(race_check, name) for name in race_check.__all__}
    assert eval(source_of(command), namespace) == command


def test_comments_say_what_was_answered_and_done() -> None:
    actors: list[Actor] = [client(capture("k1", 500)), client(capture("k2", 500)), tick(-1), sweep()]
    asked = Invocation("capture", {})
    operations = (
        ScheduledOperation(0, asked, Observation("ok", {"outcome": "captured", "replayed": True})),
        ScheduledOperation(1, asked, Observation("unknown", {"status": 500})),
        ScheduledOperation(2, Invocation("clock", {"now": 1}), Observation("ok", {"now": 1})),
    )
    on = {"connection": 1}
    locking = "SELECT state FROM payments WHERE payment_id = $1 FOR NO KEY UPDATE"
    steps = (
        Step(0, "BEGIN ISOLATION LEVEL READ COMMITTED", details=on),
        Step(0, locking, blocked=True, details=on),
        Step(1, "COMMIT", details={**on, "error": "23505 duplicate\nkey"}),
        Step(2, "clock to the window's end -1 µs", details={"kind": "clock"}),
    )
    source = source_of_test(BEFORE, actors, execution(*steps, operations=operations))
    assert [line.strip() for line in source.splitlines() if "#" in line] == [
        'client(capture("k1", 500)),  # captured (replayed)',
        'client(capture("k2", 500)),  # status 500',
        "*[0] * 2,  # BEGIN; SELECT payments FOR NO KEY UPDATE (waits)",
        "*[1] * 1,  # COMMIT (23505 duplicate key)",
        "*[2] * 1,  # clock to the window's end -1 µs",
    ]
    assert "            tick(-1),\n            sweep(),\n" in source


def test_a_session_outside_the_service_has_no_source() -> None:
    with pytest.raises(TypeError, match="a session locks the row"):
        source_of(Holder(Leaving.VOIDED))
