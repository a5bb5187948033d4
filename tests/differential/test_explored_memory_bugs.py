"""Break the in-memory store, and see the explorer find it, with a shortest schedule that always fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import payments_verify
from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.races.judge import Judge
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import gated_in_memory
from pgweave.interleavings.exhaustive import Naive
from pgweave.interleavings.replay import replay
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.support.broken_stores import (
    BrokenStore,
    ClockBeforeLock,
    ComparesMilliseconds,
    KeyBeforeLock,
    LockReleasedBeforeCommit,
    NoLock,
    PaymentBeforeLock,
    SweepWithoutLocks,
)
from tests.support.exploring import explored, outcomes, run
from tests.support.mutants import Edit, mutated_copy, run_harness

REPLAYS = 20

# The store, the scenario that shows what is wrong with it, and how often the shortest schedule switches
# between processes.
BROKEN = [
    (NoLock, "different-keys", 2),
    (NoLock, "same-key-twice", 2),
    (NoLock, "window-closes-behind-lock", 3),
    (LockReleasedBeforeCommit, "different-keys", 2),
    (LockReleasedBeforeCommit, "capture-and-void", 2),
    (KeyBeforeLock, "same-key-twice", 3),
    (PaymentBeforeLock, "different-keys", 3),
    (ClockBeforeLock, "window-closes-behind-lock", 4),
    (ClockBeforeLock, "window-closes-behind-rollback", 4),
    (ComparesMilliseconds, "capture-and-ticks", 2),
    (SweepWithoutLocks, "capture-and-sweep", 4),
]


@pytest.mark.parametrize(("make_store", "name", "switches"), BROKEN)
def test_a_broken_store_is_found_and_its_schedule_fails_each_time(
    make_store: type[BrokenStore], name: str, switches: int, tmp_path: Path
) -> None:
    found = explored(name, tmp_path, open_service=lambda: gated_in_memory(make_store))
    assert found.verdict == "violated"
    assert found.violation is not None
    assert found.schedule is not None
    assert found.as_json()["switches"] == switches
    schedule = schedule_file.read(found.schedule)
    assert schedule.service == "in memory"

    async def violations() -> int:
        judge = Judge()
        async with gated_in_memory(make_store) as service:
            program = scenario_race(SCENARIOS[name], service)
            await program.prepare()
            runs = [await replay(program, schedule.schedule, schedule.labels) for _ in range(REPLAYS)]
        return sum(judge.find_violation(execution) is not None for execution in runs)

    assert run(violations()) == REPLAYS


@pytest.mark.parametrize("make_store", dict.fromkeys(make_store for make_store, *_ in BROKEN))
def test_the_reduction_leaves_no_outcome_of_a_broken_store_out(make_store: type[BrokenStore]) -> None:
    for name in (name for name in SCENARIOS if name not in ("three-captures", "four-captures")):
        scenario = SCENARIOS[name]
        assert outcomes(scenario, make_store, SourceDPOR()) == outcomes(scenario, make_store, Naive()), name


UNLOCKED = Edit(
    "systems/memory_store.py", "        async with self._claim(payment_id):\n", "        if True:\n"
)


def test_the_commands_find_and_replay_it(tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path / "mutant", (UNLOCKED,), payments_verify)
    arguments = ["--system", "in-memory", "--scenario", "different-keys", "--json"]
    first = run_harness(mutant, ["explore", *arguments, "--output", str(tmp_path)])
    assert first.returncode == 1, first.stdout + first.stderr
    (found,) = json.loads(first.stdout)
    assert (found["verdict"], found["switches"]) == ("violated", 2)

    again = run_harness(mutant, ["replay", found["schedule"], "--times", str(REPLAYS), "--json"])
    assert again.returncode == 1, again.stdout + again.stderr
    assert json.loads(again.stdout)["violations"] == REPLAYS
