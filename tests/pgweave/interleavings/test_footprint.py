"""Footprints: which steps depend on each other, and that they survive the way to another process."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from pgweave.interleavings.execution import Step
from pgweave.interleavings.footprint import (
    EVERYTHING,
    NOTHING,
    WAITED,
    Access,
    Footprint,
    Lock,
    Mode,
    Rows,
)

ROW = Rows("payments", {"id": 1})


def of(mode: Mode, rows: Rows = ROW, lock: Lock | None = None) -> Footprint:
    return Footprint.of(Access(mode, rows, lock))


READ, PUBLISH = of(Mode.READ), of(Mode.PUBLISH)
LOCK, RELEASE = of(Mode.LOCK, lock=Lock.NO_KEY_UPDATE), of(Mode.RELEASE, lock=Lock.NO_KEY_UPDATE)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (READ, PUBLISH, True),
        (READ, READ, False),
        (READ, LOCK, False),
        (READ, RELEASE, False),
        (LOCK, LOCK, True),
        (LOCK, PUBLISH, True),
        (LOCK, RELEASE, True),
        (PUBLISH, PUBLISH, False),
        (RELEASE, RELEASE, False),
        (PUBLISH, RELEASE, False),
        (LOCK, of(Mode.LOCK, lock=Lock.KEY_SHARE), False),
        (READ, of(Mode.PUBLISH, Rows("payments", {"id": 2})), False),
        (READ, of(Mode.PUBLISH, Rows("payments")), True),
        (READ, of(Mode.PUBLISH, Rows("payments", {"state": "captured"})), True),
        (READ, of(Mode.PUBLISH, Rows("attempts", {"id": 1})), False),
        (EVERYTHING, READ, True),
        (EVERYTHING, NOTHING, False),
        (WAITED, WAITED, True),
        (WAITED, LOCK, False),
    ],
)
def test_dependence(one: Footprint, other: Footprint, expected: bool) -> None:
    assert one.dependent(other) is expected
    assert other.dependent(one) is expected


def test_a_step_that_was_left_waiting_depends_on_others_that_were() -> None:
    waiting = Step(0, "lock", LOCK, blocked=True)
    elsewhere = Step(1, "lock", of(Mode.LOCK, Rows("refunds"), Lock.UPDATE), blocked=True)
    assert waiting.touched.dependent(elsewhere.touched)
    assert not waiting.footprint.dependent(elsewhere.footprint)


def test_an_access_has_a_strength_if_and_only_if_it_is_of_a_lock() -> None:
    with pytest.raises(ValueError, match="strength"):
        Access(Mode.LOCK, ROW)
    with pytest.raises(ValueError, match="strength"):
        Access(Mode.READ, ROW, Lock.SHARE)


def test_footprints_from_a_process_with_other_hashes_are_equal() -> None:
    code = (
        "import pickle, sys\n"
        "from pgweave.interleavings.footprint import *\n"
        "rows = Rows('payments', {'id': 1})\n"
        "access = Access(Mode.LOCK, rows, Lock.NO_KEY_UPDATE)\n"
        "sys.stdout.buffer.write(pickle.dumps((rows, Footprint.of(access))))"
    )
    for seed in ("1", "2"):
        sent = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
        )
        rows, footprint = pickle.loads(sent.stdout)
        assert hash(rows) == hash(ROW)
        assert {footprint: "known"}.get(LOCK) == "known"
