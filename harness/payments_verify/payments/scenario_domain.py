"""A scenario as a program that the explorer runs, each time with a new payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from payments_verify.payments.inputs import EPOCH
from payments_verify.payments.known import Known
from payments_verify.payments.race_domain import Before, RaceProgram, Wait, void
from payments_verify.payments.scenarios import AUTHORIZE, CREATE, WINDOW, Scenario, Sweeper
from payments_verify.payments.service_under_test import ServiceUnderTest
from pgweave.gate import Fault
from pgweave.interleavings.execution import Chooser, Execution

_BEYOND_EVERY_WINDOW = 32 * 24 * 60 * 60 * 1_000_000


class ScenarioProgram(RaceProgram):
    """A scenario over one service.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
        known: what earlier runs have shown; shared by programs of one scenario.
        faults: what goes wrong at which statement of which actor.
        patience: how often a client sends a command until it has a definite answer.
    """

    def __init__(
        self,
        scenario: Scenario,
        service: ServiceUnderTest,
        *,
        known: Known | None = None,
        faults: Mapping[tuple[int, int], Fault] | None = None,
        patience: int = 1,
    ) -> None:
        super().__init__(
            _preparation(scenario),
            scenario.actors,
            service,
            start=EPOCH,
            known=known,
            faults=faults,
            patience=patience,
        )
        self._is_warm = known is not None
        self.scenario = scenario
        self._sweeps = any(isinstance(actor, Sweeper) for actor in scenario.actors)

    async def prepare(self) -> None:
        """Leave nothing in the database that a sweep could find, and make everything warm."""
        if self._sweeps:
            self._start += _BEYOND_EVERY_WINDOW
            await self._service.set_clock(self._start)
            await self._service.sweep()
        if not self._is_warm:
            self._is_warm = True
            await self.warm_up()

    async def run(self, choose: Chooser) -> Execution:
        """Run it once, with a new payment; the result is a `Raced`."""
        execution = await super().run(choose)
        self._start = execution.result.now
        if self._sweeps and execution.complete:
            await void(self._service, execution.result.payments)
        return execution


def _preparation(scenario: Scenario) -> Sequence[Before]:
    steps: list[Before] = [*(CREATE, AUTHORIZE)[: scenario.prepared.value]]
    return [*steps, Wait(WINDOW)] if scenario.past_window else steps
