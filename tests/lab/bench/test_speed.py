"""What is timed, and that it is the same on both sides."""

from __future__ import annotations

import asyncio

import pytest

from lab.bench import isolation_tester, speed
from lab.bench.isolation_tester import Timing, find_isolation_tester
from lab.bench.raw_sessions import raw_sessions
from lab.bench.speed import GATE, TESTER, Pace, SpeedError, medians, ratios
from payments_verify.systems import EXPLORING, gated, prepared_database
from pgweave.embedded.binaries import find_binaries


def _pace(name: str, seconds: float, asking: float = 0.0) -> Pace:
    return Pace(name=name, schedules=66, seconds=seconds, asking=asking)


def test_rounds_are_compared_within_themselves() -> None:
    timed = [_pace(GATE, 1), _pace(TESTER, 4), _pace(GATE, 3), _pace(TESTER, 6)]
    assert ratios(timed) == [4, 2]
    assert ratios([_pace(GATE, 1)]) == []


def test_medians_are_of_one_name() -> None:
    timed = [_pace(GATE, 66, 6.6), _pace(GATE, 33, 3.3), _pace(GATE, 11, 1.1), _pace(TESTER, 66)]
    assert medians(timed) == {GATE: (2, pytest.approx(0.1)), TESTER: (1, 0)}


def test_the_gate_and_the_isolation_tester_run_the_same_and_are_refused_if_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tester = find_isolation_tester(find_binaries())
    assert tester is not None

    async def both(dsn: str) -> list[Pace]:
        async with gated(dsn) as service, raw_sessions(speed.database_of(service), dsn) as raw:
            monitor = speed.database_of(service).monitor
            ours, orders = await speed.run_bare(raw, monitor)
            theirs = await speed.run_tester(tester, dsn, ours, orders)
            with monkeypatch.context() as patched:
                patched.setattr(isolation_tester, "run", lambda *_: Timing(66, 49, 1.0))
                with pytest.raises(SpeedError, match="49: they did not do the same"):
                    await speed.run_tester(tester, dsn, ours, orders)
            return [ours, theirs]

    with prepared_database(settings=EXPLORING) as dsn:
        gate, theirs = asyncio.run(both(dsn))
    assert (gate.schedules, gate.waits) == (theirs.schedules, theirs.waits) == (66, 50)
