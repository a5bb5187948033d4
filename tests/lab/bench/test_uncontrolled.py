"""Uncontrolled races: the order is that of the recorded events, and the judge is the model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec

from lab.bench.bench_explore import ROOT
from lab.bench.searches import EXPLORER, Search
from lab.bench.uncontrolled import FreeProcess
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.judge import violation_in
from payments_verify.payments.races.result import Exchange, RaceResult
from pgweave.scheduler import ScheduledOperation
from tests.support.mutants import Edit, mutated_copy
from tests.support.seeded_bugs import NO_ROW_LOCK

_WINDOW = 60_000_000
_AUTHORIZED = (
    Exchange(
        Invocation("create", {"payment": "p", "amount": 500}), Observation("ok", {"outcome": "created"})
    ),
    Exchange(
        Invocation("authorize", {"payment": "p", "window": _WINDOW}),
        Observation("ok", {"outcome": "authorized"}),
    ),
)
_CLOCK_AT_0 = Exchange(Invocation("clock", {"now": 0}), Observation("ok", {"now": 0}))
_CAPTURE = Invocation("capture", {"payment": "p", "key": "k1", "amount": 500})
_CAPTURED = Observation("ok", {"outcome": "captured", "replayed": False})
_TICK = Invocation("clock", {"now": _WINDOW})
_TICKED = Observation("ok", {"now": _WINDOW})


def _raced(*events: tuple[FreeProcess, Invocation | Observation]) -> RaceResult:
    operations: dict[FreeProcess, ScheduledOperation] = {}
    done = []
    for process, event in events:
        if isinstance(event, Invocation):
            operations[process] = process.begin(event)
        else:
            process.end(operations[process], event)
            done.append(operations[process])
    return RaceResult(("p",), (_CLOCK_AT_0, *_AUTHORIZED), tuple(done), (), 0)


def _processes() -> tuple[FreeProcess, FreeProcess]:
    events = count()
    return FreeProcess(0, "client", events), FreeProcess(1, "tick", events)


def test_a_capture_that_overlaps_the_end_of_its_window_may_succeed() -> None:
    client, clock = _processes()
    raced = _raced((client, _CAPTURE), (clock, _TICK), (clock, _TICKED), (client, _CAPTURED))
    assert violation_in(raced, range(4)) is None


def test_a_capture_that_begins_after_the_end_of_its_window_may_not() -> None:
    client, clock = _processes()
    raced = _raced((clock, _TICK), (clock, _TICKED), (client, _CAPTURE), (client, _CAPTURED))
    violation = violation_in(raced, range(4))
    assert violation is not None
    assert (violation.invariant, violation.operation) == ("I10", 1)
    assert str(violation.expected).startswith("window_expired")


def test_an_operation_without_a_definite_answer_is_a_violation() -> None:
    client, _ = _processes()
    raced = _raced((client, _CAPTURE), (client, Observation("unknown", {"status": 500})))
    violation = violation_in(raced, range(2))
    assert violation is not None
    assert violation.invariant == "I9"


def _search(folder: Path, edits: Sequence[Edit]) -> list[Search]:
    run = subprocess.run(
        [sys.executable, "-m", "lab.bench.searching", "--scenario", "different-keys", "--scale", "0.1"],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(mutated_copy(folder, edits))},
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return [msgspec.json.decode(line, type=Search) for line in run.stdout.splitlines()]


def test_a_missing_row_lock_is_found_by_schedule_and_by_a_barrier(tmp_path: Path) -> None:
    found = {search.how: search for search in _search(tmp_path, (NO_ROW_LOCK,))}
    assert found[EXPLORER].found
    assert found["barrier"].found
    assert found["barrier"].violation


def test_nothing_is_found_where_nothing_is_broken(tmp_path: Path) -> None:
    searches = _search(tmp_path, ())
    assert [search.runs for search in searches] == [6, 20, 10, 10]
    assert not any(search.found for search in searches)
