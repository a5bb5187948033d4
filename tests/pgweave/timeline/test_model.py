"""Runs as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from pgweave.interleavings.execution import Execution, Step
from pgweave.timeline.model import Lane, Timeline, TimelineOperation, TimelineStep, from_execution
from pgweave.timeline.rows import Row, RowKind, rows
from tests.pgweave.timeline.examples import blocked, lost_update

LANES = (Lane("a"), Lane("b"))


def test_waits_end_where_they_were_woken() -> None:
    steps = blocked().steps
    waits = {
        number: step.blocked_until for number, step in enumerate(steps) if step.blocked_until is not None
    }
    assert waits == {3: 7, 4: 6}
    assert blocked().granted(7) == (3,)
    assert (blocked().completed(3), blocked().completed(5)) == (7, 5)


def test_a_wait_that_nobody_ends_lasts_to_the_end() -> None:
    steps = (Step(0, "UPDATE t"), Step(1, "UPDATE t", blocked=True), Step(0, "SELECT 1"))
    timeline = from_execution(Execution(steps, complete=False), ("a", "b"), title="stuck")
    assert [step.blocked_until for step in timeline.steps] == [None, 3, None]


def test_a_second_wait_of_a_lane_is_another() -> None:
    steps = (
        Step(0, "UPDATE t", blocked=True),
        Step(1, "COMMIT", woke=(0,)),
        Step(0, "UPDATE u", blocked=True),
        Step(1, "COMMIT", woke=(0,)),
    )
    timeline = from_execution(Execution(steps, complete=True), ("a", "b"), title="two waits")
    assert [step.blocked_until for step in timeline.steps] == [1, None, 3, None]


def test_a_lane_that_waited_before_its_first_step_is_not_drawn_as_waiting() -> None:
    timeline = from_execution(Execution((Step(0, "COMMIT", woke=(1,)),), True), ["a", "b"], title="")
    assert timeline.steps[0].woke == ()


def test_details_are_taken_over() -> None:
    steps = (
        Step(0, "UPDATE t", details={"values": [1, "x"], "answer": "UPDATE 1"}),
        Step(0, "COMMIT", details={"error": ValueError("no")}),
        Step(1, "clock +1 s"),
        Step(1, "restart", details={"kind": "other"}),
    )
    timeline = from_execution(Execution(steps, complete=True), ("a", "b"), title="details")
    assert timeline.steps == (
        TimelineStep(0, "UPDATE t", values=("1", "x"), answer="UPDATE 1"),
        TimelineStep(0, "COMMIT", error="no"),
        TimelineStep(1, "clock +1 s", kind="clock"),
        TimelineStep(1, "restart", kind="other"),
    )
    odd = Execution((Step(0, "x", details={"kind": "odd"}),), complete=True)
    with pytest.raises(ValueError, match="'x' is of kind 'odd'"):
        from_execution(odd, ("a",), title="odd")


@pytest.mark.parametrize("example", [lost_update, blocked])
def test_json_gives_it_back(example: Callable[[], Timeline]) -> None:
    timeline = example()
    assert msgspec.json.decode(msgspec.json.encode(timeline), type=Timeline) == timeline


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((TimelineStep(2, "x"),), "step 0 is in lane 2; there are 2 lanes"),
        ((TimelineStep(-1, "x"),), "step 0 is in lane -1"),
        ((TimelineStep(0, "x", blocked_until=2),), "step 0 is blocked until 2"),
        ((TimelineStep(0, "x", blocked_until=0, woke=(0,)),), "step 0 is blocked until 0"),
        ((TimelineStep(0, "x", woke=(1,)),), r"step 0 woke lanes \(1,\), but lanes \(\) waited"),
        ((TimelineStep(0, "x", blocked_until=1), TimelineStep(1, "y")), r"step 1 woke lanes \(\)"),
        ((TimelineStep(0, "x", blocked_until=2), TimelineStep(0, "y")), "step 0 waits until 2, yet its lane"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps: tuple[TimelineStep, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Timeline("t", "", LANES, steps)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (TimelineOperation(2, "x"), "operation 'x' is in lane 2"),
        (TimelineOperation(0, "x", first=1), "operation 'x' names step 1; there are 1 steps"),
        (TimelineOperation(0, "x", last=0), "answered after step 0 but invoked before step None"),
    ],
)
def test_operations_that_do_not_fit_are_refused(operation: TimelineOperation, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Timeline("t", "", LANES, (TimelineStep(0, "s"),), (operation,))
    with pytest.raises(ValueError, match="parts_at is 1; there are 1 steps"):
        Timeline("t", "", LANES, (TimelineStep(0, "s"),), parts_at=1)


def test_what_makes_a_violation() -> None:
    assert lost_update().is_violation
    assert not blocked().is_violation
    assert replace(blocked(), parts_at=3).is_violation


def test_rows_follow_real_time() -> None:
    steps = (TimelineStep(0, "s0", blocked_until=1), TimelineStep(1, "s1", woke=(0,)), TimelineStep(0, "s2"))
    operations = (
        TimelineOperation(0, "waits", "ok", first=0, last=0),
        TimelineOperation(0, "no step", "ok"),
        TimelineOperation(0, "then", "", first=2),
        TimelineOperation(1, "other", "ok", first=1, last=1),
    )
    found = rows(Timeline("t", "", LANES, steps, operations, parts_at=1))
    assert found == (
        Row(RowKind.INVOKED, 0, 0),
        Row(RowKind.STEP, 0, 0),
        Row(RowKind.INVOKED, 3, 1),
        Row(RowKind.STEP, 1, 1),
        Row(RowKind.PARTING, 1, 2),
        Row(RowKind.ANSWERED, 0, 2),
        Row(RowKind.ANSWERED, 3, 2),
        Row(RowKind.INVOKED, 1, 2),
        Row(RowKind.ANSWERED, 1, 2),
        Row(RowKind.INVOKED, 2, 2),
        Row(RowKind.STEP, 2, 2),
        Row(RowKind.ANSWERED, 2, 3),
    )
