"""A service whose transactions are SERIALIZABLE, and begin again, is explored to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from lab.peers import every_peer_in
from payments_verify.payments.exploration.scenario import ExploredScenario, MakeStrategy, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import empty_databases, started_service
from pgweave.interleavings.replay import Replay
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import PlanRun, SchedulePlan
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir

NAME = "charges: serializable, tried again"


class Noted(SourceDPOR):
    """Notes the schedules that it has tried."""

    def __init__(self, tried: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.tried = tried

    def learn(self, plan: SchedulePlan, run: PlanRun) -> None:
        self.tried.append(tuple(step.process for step in run.execution.steps))
        super().learn(plan, run)


def explored(make_strategies: Sequence[MakeStrategy], folder: Path) -> list[ExploredScenario]:
    (peer,) = [each for each in every_peer_in(ROOT / "examples" / "peers") if each.name == NAME]

    async def main() -> list[ExploredScenario]:
        async with started_service(peer.command, peer.binding, new, behind_gate=True) as gated:
            scenario = SCENARIOS["capture-and-void"]
            return [await explore_scenario(scenario, gated, make, folder) for make in make_strategies]

    with empty_databases(chosen_bin_dir()) as new:
        return asyncio.run(main())


def test_two_serializable_transactions_are_explored_to_the_end_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What psycopg prepares apart takes the snapshot: it is part of the statement's step."""
    tried: dict[str, list[tuple[int, ...]]] = {"0": [], "5": []}
    for prepares_after, schedules in tried.items():
        monkeypatch.setenv("CHARGES_PREPARE_AFTER", prepares_after)
        (found,) = explored([partial(Noted, schedules)], tmp_path)
        assert (found.verdict, found.report.complete, len(schedules)) == ("holds", True, 18), found.problem
        assert len(found.outcomes) == 2
    assert set(tried["0"]) == set(tried["5"])
    for again in explored([partial(Replay, each) for each in tried["0"]], tmp_path):
        assert (again.verdict, again.report.schedules) == ("holds", 1), again.problem
