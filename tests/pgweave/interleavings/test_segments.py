"""Schedules in segments: what each says, and that the shortest lets everyone run on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

import pytest

from pgweave.interleavings.execution import Execution, Pending, Situation
from pgweave.interleavings.segments import FollowSegments, Segment
from pgweave.interleavings.strategy import SchedulePlan, perform
from tests.pgweave.interleavings.captures import captures

READY = Pending("a step")


def chosen(segments: Sequence[tuple[int, int]], ready: Sequence[Sequence[int]]) -> list[int]:
    """Who steps, when these processes are ready one point after the other."""
    go_on = FollowSegments(tuple(Segment(*each) for each in segments)).start()
    situations: list[Situation] = []
    found: list[int] = []
    for depth, processes in enumerate(ready):
        situations.append(Situation(depth, dict.fromkeys(processes, READY)))
        process = go_on(situations)
        assert process is not None
        found.append(process)
    return found


ALL = [0, 1, 2]


@pytest.mark.parametrize(
    ("segments", "ready", "expected"),
    [
        pytest.param([], [ALL] * 4, [0, 0, 0, 0], id="the empty schedule never switches"),
        pytest.param([], [ALL, ALL, [1, 2], [1, 2]], [0, 0, 1, 1], id="unless it must"),
        pytest.param([(0, 2)], [ALL] * 5, [0, 0, 1, 1, 1], id="after a segment the first other goes on"),
        pytest.param([(1, 1), (1, 2)], [ALL] * 5, [1, 2, 2, 0, 0], id="others are counted without oneself"),
        pytest.param([(4, 1)], [ALL] * 2, [1, 0], id="and counted round"),
        pytest.param([(0, 9), (1, 1)], [ALL, [1, 2], ALL], [0, 2, 0], id="who blocks loses the rest"),
        pytest.param([(0, 1)], [[0], [0], [0, 1]], [0, 0, 1], id="who is alone goes on"),
    ],
)
def test_who_steps(
    segments: Sequence[tuple[int, int]], ready: Sequence[Sequence[int]], expected: list[int]
) -> None:
    assert chosen(segments, ready) == expected


def run(*segments: Segment) -> Execution:
    """Two captures without a lock."""
    program = captures("a", "b", locking=False)
    return asyncio.run(perform(program, SchedulePlan((), FollowSegments(segments)))).execution


def test_one_segment_is_enough_to_interrupt_a_process() -> None:
    whole, interrupted = run(), run(Segment(0, 1))
    assert [process for process, _ in groupby(whole.schedule)] == [0, 1]
    assert [process for process, _ in groupby(interrupted.schedule)] == [0, 1, 0]
    assert whole.result != interrupted.result


def test_the_same_segments_make_the_same_run() -> None:
    policy = FollowSegments((Segment(1, 2), Segment(0, 1)))
    program = captures("a", "b")
    once, again = (asyncio.run(perform(program, SchedulePlan((), policy))).execution for _ in range(2))
    assert once.schedule == again.schedule
