"""A service whose transactions are SERIALIZABLE, and begin again, is explored to the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab.peers import every_peer_in
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import empty_databases, started_service
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir

NAME = "charges: serializable, tried again"


def test_two_serializable_transactions_are_explored_to_the_end(tmp_path: Path) -> None:
    (peer,) = [each for each in every_peer_in(ROOT / "examples" / "peers") if each.name == NAME]

    async def main() -> ExploredScenario:
        async with started_service(peer.command, peer.binding, new, behind_gate=True) as gated:
            return await explore_scenario(SCENARIOS["capture-and-void"], gated, SourceDPOR, tmp_path)

    with empty_databases(chosen_bin_dir()) as new:
        found = asyncio.run(main())
    assert (found.verdict, found.report.complete, found.report.schedules) == ("holds", True, 18), (
        found.problem
    )
    assert len(found.outcomes) == 2
