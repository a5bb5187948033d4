"""A scenario as a race that the engine explores, each time with a new payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from payments_verify.payments.inputs.classes import BEGIN
from payments_verify.payments.races.account_keys import AccountJudge
from payments_verify.payments.races.actors import RacedPayments
from payments_verify.payments.races.domain import RaceDomain, void
from payments_verify.payments.races.judge import Judge, Violation
from payments_verify.payments.races.preparation import Before, Wait, payments_of
from payments_verify.payments.scenarios.catalogue import AUTHORIZE, CREATE, WINDOW, Scenario, Sweeper
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave.drive.race import Place, Race
from pgweave.gate import Fault

_BEYOND_EVERY_WINDOW = 32 * 24 * 60 * 60 * 1_000_000


class ScenarioDomain(RaceDomain):
    """A scenario over one service.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
    """

    def __init__(self, scenario: Scenario, service: ServiceUnderTest) -> None:
        before = _preparation(scenario, service.traits.window(WINDOW))
        super().__init__(before, scenario.actors, service, start=BEGIN, name=scenario.name)
        self._shares_key = service.traits.keys_of_account and len(_payments_of(scenario)) > 1
        self._sweeps = any(isinstance(each, Sweeper) for each in (*scenario.actors, *scenario.further))

    def judge(self, *, hurt: bool) -> Judge:
        """Make a judge that asks the model, which knows keys of a payment alone."""
        return AccountJudge(faults=hurt) if self._shares_key else super().judge(hurt=hurt)

    async def prepare(self) -> None:
        """Leave nothing in the database that a sweep could find."""
        if self._sweeps:
            self._start += _BEYOND_EVERY_WINDOW
            await self._service.set_clock(self._start)
            await self._service.sweep()

    async def _end(self, payments: RacedPayments, *, is_usable: bool) -> None:
        """Go on from the present time, and leave nothing that a later sweep could find."""
        self._start = payments.now
        if self._sweeps or not is_usable:
            await void(self._service, payments.payments)


def scenario_race(
    scenario: Scenario, service: ServiceUnderTest, faults: Mapping[Place, Fault] | None = None
) -> Race[Violation]:
    """A scenario over one service, as a race.

    Args:
        scenario: what is raced.
        service: the service behind its gate.
        faults: what goes wrong at which statement of which actor.
    """
    return Race(ScenarioDomain(scenario, service), faults=faults)


def _preparation(scenario: Scenario, window: int) -> Sequence[Before]:
    """What brings a payment, whose window is so many µs long, to where the race begins."""
    steps: list[Before] = [
        replace(each, payment=payment)
        for payment in _payments_of(scenario)
        for each in (CREATE, AUTHORIZE)[: scenario.prepared.value]
    ]
    # A scenario waits for the end of a window, or for an instant beside it.
    waited = [Wait(scenario.waited - WINDOW + window)] if scenario.waited else []
    return [*steps, *waited, *scenario.further]


def _payments_of(scenario: Scenario) -> Sequence[int]:
    return range(1 + max(payments_of((), scenario.actors), default=0))
