"""Timelines in a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from pgweave.timeline.model import Lane, Timeline, TimelineOperation, TimelineStep
from pgweave.timeline.text import render, render_rich
from tests.pgweave.timeline.examples import blocked, lost_update
from tests.pgweave.timeline.hostile import hostile

LOST_UPDATE = """\
Two clients capture one payment without a row lock
schedule 0 1 0 1 0 1 0 2 1 0 1 0 0 1 1, the first of 16 that violates

    capture k1                       capture k2                       clock
    -------------------------------  -------------------------------  ---------------------------
    > capture k1 500
 0  BEGIN
                                     > capture k2 500
 1                                   BEGIN
 2  SELECT payments: 1 row
 3                                   SELECT payments: 1 row
 4  SELECT capture_attempts: 0 rows
 5                                   SELECT capture_attempts: 0 rows
 6  SELECT payment_clock(): 1 row
 7                                                                    clock → window's end − 1 µs
 8                                   SELECT payment_clock(): 1 row
 9  UPDATE payments: 1 row
10                                   UPDATE payments, waits
11  INSERT capture_attempts: 1 row   |
12  COMMIT ------------------------> granted: 1 row
    < 201 captured
13                                   INSERT capture_attempts: 1 row
14                                   COMMIT
== here the run and the model part ==============================================================
!!                                   < 201 captured  <-- the model answers 409 already_captured

violated: the history is not linearizable

payment "pay_1": a longest linearizable prefix places 1 of 2 answered operations
                initially                           authorized
  1  process 0  capture k1 500 -> 201 captured      captured

one of these has to come next, and none can; where the state is captured
  A  process 1  capture k2 500 -> 201 captured  but the model answers 409 already_captured"""

BLOCKED = """\
The row lock makes the second wait

    capture k1                  capture k2                   sweeper                      clock
    --------------------------  ---------------------------  ---------------------------  ----------
                                > capture k2 500
 0                              BEGIN
 1                              SELECT payments FOR UPDATE
    > capture k1 500
 2  BEGIN
 3  SELECT payments FOR UPDATE
    |                                                        > expire
 4  |                                                        SELECT payments FOR UPDATE
 5  |                           UPDATE payments: 1 row       |
 6  |                                                        ended: error <-------------- clock +1 s
    |                                                      ! canceling statement due to lock timeout
    |                                                        < 503 busy
 7  granted: 1 row <----------- COMMIT
                                < 201 captured
 8  SELECT capture_attempts: 0
 9  INSERT capture_attempts
10  COMMIT
    < 409 already_captured

holds"""

NARROW = """\
The row lock makes the second wait

    capture k1        capture k2         sweeper            clock
    ----------------  -----------------  -----------------  ----------
                      > capture k2 500
 0                    BEGIN
 1                    SELECT payment...
    > capture k1 500
 2  BEGIN
 3  SELECT paymen...
    |                                    > expire
 4  |                                    SELECT payment...
 5  |                 UPDATE payments    |
 6  |                                    ended: error <---- clock +1 s
    |                        ! canceling statement due to lock timeout
    |                                    < 503 busy
 7  granted: 1 row <- COMMIT
                      < 201 captured
 8  SELECT cap...: 0
 9  INSERT captur...
10  COMMIT
    < 409 already_captured

holds"""


STUCK = """\
stuck

    a                b                 c                           d
    ---------------  ----------------  --------------------------  ---------------
 0                   UPDATE t
 1  UPDATE t, waits
    |                                  > x
 2  |                                  UPDATE t, waits to the end
 3  |                                  |                           UPDATE t, waits
 4  granted: 1 row < COMMIT: ROLLBACK -|-------------------------> granted: 0 rows
                                       < no answer"""


def test_a_lost_update() -> None:
    assert render(lost_update()) == LOST_UPDATE


def test_a_wait_for_a_lock() -> None:
    assert render(blocked()) == BLOCKED


def test_a_narrow_terminal() -> None:
    assert render(blocked(), width=70) == NARROW


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_lines_are_no_wider_than_the_terminal(width: int) -> None:
    for timeline in (lost_update(), blocked()):
        lines = render(replace(timeline, explanation="", subtitle=""), width).split("\n")
        assert max(map(cell_len, lines)) <= width


def test_the_mark_of_a_violation_goes_when_there_is_none() -> None:
    violation = lost_update()
    legal = replace(violation.operations[1], expected=None, is_violation=False)
    held = replace(violation, operations=(violation.operations[0], legal), parts_at=None, explanation="")
    text = render(held)
    assert "!!" in LOST_UPDATE
    assert "!!" not in text
    assert "model" not in text
    unexpected = replace(violation.operations[1], expected=None)
    text = render(replace(violation, operations=(violation.operations[0], unexpected)))
    assert "< 201 captured  <-- the model does not allow this" in text


def test_many_are_woken_at_once_and_one_never() -> None:
    steps = (
        TimelineStep(1, "UPDATE t"),
        TimelineStep(0, "UPDATE t", blocked_until=4, answer="UPDATE 1"),
        TimelineStep(2, "UPDATE t", blocked_until=5),
        TimelineStep(3, "UPDATE t", blocked_until=4, answer="UPDATE 0"),
        TimelineStep(1, "COMMIT", woke=(0, 3), answer="ROLLBACK"),
    )
    lanes = tuple(map(Lane, "abcd"))
    timeline = Timeline("stuck", "", lanes, steps, (TimelineOperation(2, "x", first=2),))
    assert render(timeline) == STUCK


def test_colour_changes_no_character() -> None:
    for timeline in (lost_update(), blocked(), hostile()):
        assert render_rich(timeline).plain == render(timeline)
    styles = {str(span.style) for span in render_rich(lost_update()).spans}
    assert {"bold red", "bold green", "blue", "magenta", "green", "cyan", "yellow", "dim"} <= styles


def test_hostile_text_cannot_command_the_terminal() -> None:
    text = render(hostile())
    assert all(line.isprintable() for line in text.split("\n"))
    assert "\\x1b[31m" in text
    assert "[bold]x[/bold]" in render(replace(blocked(), title="[bold]x[/bold]"))


def test_wide_characters_take_two_columns() -> None:
    steps = (TimelineStep(0, "漢字", kind="other"), TimelineStep(1, "e\u0301 x", kind="other"))
    lines = render(Timeline("wide", "", (Lane("漢"), Lane("two")), steps)).split("\n")
    assert lines[2:] == ["    漢    two", "    ----  ---", " 0  漢字", " 1        e\u0301 x"]


def test_a_run_of_nothing() -> None:
    assert render(Timeline("nothing", "", (), ())) == "nothing\n\n\n"
