"""What is foretold of commands, from one trace of each: neither too little nor too much."""

from __future__ import annotations

import pytest

from pgweave.discovery.anomalies import foretell
from pgweave.discovery.trace import Trace
from pgweave.interleavings.footprint import Rows
from tests.pgweave.discovery.traces import (
    CLOCK_BEFORE_LOCK,
    CLOCK_UNDER_LOCK,
    CLOCK_WITH_LOCK,
    LET_GO,
    LOCKED,
    MOVES_CLOCK,
    OTHER_ROW,
    READS,
    ROW,
    UNLOCKED,
    anything,
    changes,
    commits,
    locks,
    locks_and_reads,
    reads,
    trace,
    updates,
)

KEYS = Rows("keys")
WRITES_OTHER = trace("deposit", reads(), updates(OTHER_ROW), commits(OTHER_ROW))
READS_OTHER = trace("audit", reads(OTHER_ROW), updates(), commits(ROW))


@pytest.mark.parametrize(
    "traces",
    [
        (UNLOCKED, UNLOCKED),
        (UNLOCKED, LOCKED),
        (UNLOCKED, trace("deposit", changes())),
        (LET_GO, LET_GO),
        (WRITES_OTHER, READS_OTHER),
        (CLOCK_BEFORE_LOCK, MOVES_CLOCK, CLOCK_BEFORE_LOCK),
        (CLOCK_WITH_LOCK, MOVES_CLOCK, CLOCK_BEFORE_LOCK),
        (LOCKED, trace("report", anything(), reads())),
    ],
    ids=[
        "lost update",
        "one of them locks",
        "one statement",
        "let go",
        "write skew",
        "clock",
        "with lock",
        "unknown",
    ],
)
def test_a_check_that_no_lock_covers_is_foretold(traces: tuple[Trace, ...]) -> None:
    assert foretell(traces) is not None
    assert foretell(tuple(reversed(traces))) is not None


@pytest.mark.parametrize(
    "traces",
    [
        (LOCKED, LOCKED),
        (LOCKED, LOCKED, LOCKED),
        (LOCKED, READS),
        (READS, READS),
        (trace("deposit", changes()), trace("deposit", changes())),
        (UNLOCKED, trace("other", reads(OTHER_ROW), updates(OTHER_ROW), commits(OTHER_ROW))),
        (CLOCK_BEFORE_LOCK, MOVES_CLOCK),
        (CLOCK_UNDER_LOCK, MOVES_CLOCK, CLOCK_UNDER_LOCK),
    ],
    ids=[
        "pair",
        "triple",
        "a read",
        "reads",
        "one statement",
        "other rows",
        "nobody else looks",
        "clock under lock",
    ],
)
def test_what_locks_cover_is_not(traces: tuple[Trace, ...]) -> None:
    assert foretell(traces) is None


def test_what_a_statement_reads_it_reads_before_it_waits() -> None:
    """A key that is looked up together with the lock may have been used since."""
    in_one = trace("capture", locks_and_reads(KEYS), updates(KEYS), commits(ROW, KEYS))
    one_by_one = trace("capture", locks(), reads(KEYS), updates(KEYS), commits(ROW, KEYS))
    assert foretell((in_one, in_one)) is not None
    assert foretell((one_by_one, one_by_one)) is None


def test_what_two_show_is_not_foretold_of_three() -> None:
    assert foretell((UNLOCKED, UNLOCKED)) is not None
    assert foretell((UNLOCKED, UNLOCKED, trace("other", reads(KEYS)))) is None


def test_an_anomaly_names_the_check_and_what_comes_in_between() -> None:
    found = foretell((UNLOCKED, trace("deposit", changes())))
    assert found is not None
    first, second = found.edges
    assert (first.earlier, first.before, first.later, first.after) == (0, 1, 1, 1)
    assert (second.earlier, second.before, second.later, second.after) == (1, 1, 0, 2)


def test_who_is_over_comes_before_who_begins_later() -> None:
    """A report reads one row before a deposit and the other after a later one has seen the first deposit."""
    report = trace("report", reads(), reads(OTHER_ROW))
    found = foretell((report, trace("deposit", changes()), trace("move", changes(OTHER_ROW))))
    assert found is not None
    assert [(each.earlier, each.later, each.before) for each in found.edges] == [
        (0, 1, 1),
        (1, 2, None),
        (2, 0, 1),
    ]
