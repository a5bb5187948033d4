"""Scenarios explored in this process, on a service that is opened for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.systems import gated_in_memory
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.interleavings.explore import explore
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Strategy
from tests.support.witnesses import unwitnessed

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def explored(
    name: str,
    folder: Path,
    make: Callable[[], Strategy] = SourceDPOR,
    open_service: OpenService = gated_in_memory,
) -> ExploredScenario:
    async def main() -> ExploredScenario:
        async with open_service() as service:
            return await explore_scenario(SCENARIOS[name], service, make, folder)

    return run(main())


def outcomes(scenario: Scenario, make_store: type[InMemoryPaymentStore], strategy: Strategy) -> set[Any]:
    """Every combination of answers, right or wrong.

    A witness would call the later of two answers wrong that differ under one key. Which of them comes later
    is no order of steps.
    """
    found: set[Any] = set()

    async def main() -> None:
        async with gated_in_memory(make_store) as service:
            plain = replace(service, clients=(unwitnessed(service.client),))
            program = scenario_race(scenario, plain)
            await program.prepare()
            report = await explore(
                program, strategy, on_execution=lambda execution, _plan: found.add(execution.result.outcomes)
            )
        assert report.complete

    run(main())
    return found
