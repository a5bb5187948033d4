"""Schedules that are given."""

from __future__ import annotations

import asyncio

import pytest

from pgweave.interleavings.execution import DivergenceError, Execution
from pgweave.interleavings.replay import Replay, replay
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.pgweave.interleavings.captures import captures
from tests.pgweave.interleavings.runs import explored
from tests.pgweave.interleavings.test_exhaustive import readers


def some_execution() -> Execution:
    _, executions = explored(captures("a", "b"), SourceDPOR())
    return next(one for one in executions if any(step.blocked for step in one.steps))


def test_a_schedule_does_the_same_again() -> None:
    execution = some_execution()
    labels = [step.label for step in execution.steps]
    assert asyncio.run(replay(captures("a", "b"), execution.schedule, labels)) == execution
    report, again = explored(captures("a", "b"), Replay(execution.schedule, labels))
    assert again == [execution]
    assert report.schedules == 1
    assert not report.exhaustive


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        # Process 1 waits for the lock of process 0.
        ((0, 0, 1, 1, 1), r"step 4: process 1 should come next and is not ready; ready \{0: read attempts"),
        ((0, 0, 7), r"step 2: process 7 should come next and is not ready; ready \{0: .*, 1: begin\}"),
        ((0, 0), r"the schedule ends after 2 steps; ready \{0: read attempts.*, 1: begin\}, blocked \{\}"),
        ((0,) * 8, r"step 7: process 0 should come next and is not ready; ready \{1: begin\}"),
    ],
)
def test_a_schedule_that_cannot_be_run_is_a_divergence(schedule: tuple[int, ...], message: str) -> None:
    with pytest.raises(DivergenceError, match=message):
        asyncio.run(replay(captures("a", "b"), schedule))
    report, executions = explored(captures("a", "b"), Replay(schedule))
    assert executions == []
    assert len(report.divergences) == 1
    assert not report.complete


def test_a_schedule_that_is_too_long_is_a_divergence() -> None:
    with pytest.raises(DivergenceError, match="ended after 2 steps of 3"):
        asyncio.run(replay(readers(2), (0, 0, 0)))


def test_a_step_with_another_label_is_a_divergence() -> None:
    execution = some_execution()
    labels = [step.label for step in execution.steps]
    labels[3] = "another"
    with pytest.raises(DivergenceError, match=r"step 3: process \d should take 'another' and took "):
        asyncio.run(replay(captures("a", "b"), execution.schedule, labels))


def test_labels_are_as_many_as_steps() -> None:
    with pytest.raises(ValueError, match="1 label for 2 steps"):
        Replay((0, 1), ["one"])
