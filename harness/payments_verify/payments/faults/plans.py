"""In which scenarios something goes wrong, and what: by what their statements touch.

A fault ends one try of a command, and another follows. What that one finds depends on whom the command
meets: on the actors whose steps, by their footprints, depend on its own. A scenario in which every command
meets what it met in a smaller one shows nothing new. A command that reads the clock meets a tick of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.exploration.interchangeable import interchangeable
from payments_verify.payments.scenarios.catalogue import (
    ONE_CAPTURE,
    SCENARIOS,
    VOID_AND_SWEEP,
    Actor,
    Client,
    Command,
    Holder,
    Scenario,
    Sweeper,
    Tick,
)
from payments_verify.payments.scenarios.named import CROSSED, NAMED, ONE_CAPTURE_ON_TWO_INSTANCES, SINGLE
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave.drive.single import run_race
from pgweave.gate import OF_POSTGRESQL, Fault
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.footprint import Footprint, union
from pgweave.interleavings.strategy import FirstReady

FAULT_SCENARIOS = (
    ONE_CAPTURE,
    ONE_CAPTURE_ON_TWO_INSTANCES,
    VOID_AND_SWEEP,
    *SCENARIOS.values(),
    *CROSSED,
)
"""The scenarios in which something may go wrong at each statement, those that repeat others included."""

FEW_FAULT_SCENARIOS = (
    *SINGLE,
    *(
        NAMED[name]
        for name in ("same-key-twice", "different-keys", "different-keys-and-tick", "capture-and-void")
    ),
)
"""Those of them with which a service of others is examined."""

_FEW = 2
"""Actors with whom every fault is tried; with more, those after which a service tries again by itself."""


@dataclass(frozen=True)
class FaultPlan:
    """A scenario, and what goes wrong in it, one at a time."""

    scenario: Scenario
    faults: tuple[Fault, ...] = OF_POSTGRESQL

    @property
    def may_have_alike(self) -> bool:
        """Whether enough goes wrong that it may be worth while to look for faults that are alike."""
        conflicts = sum(fault.is_conflict for fault in self.faults)
        return len(self.scenario.actors) > 1 and max(conflicts, len(self.faults) - conflicts) > 1


def plan_of(scenario: Scenario, faults: Sequence[Fault] = OF_POSTGRESQL) -> FaultPlan:
    """What of these goes wrong in a scenario: with more than two actors what is met with a new try."""
    few = len(scenario.actors) <= _FEW
    return FaultPlan(scenario, tuple(fault for fault in faults if few or fault.is_conflict))


def hurt_in(scenario: Scenario) -> list[int]:
    """Whose statements are hurt: clients' and sweeps'; of those who are interchangeable, the first one's."""
    symmetry = interchangeable(scenario)
    others = {each for group in (symmetry.groups if symmetry else ()) for each in group[1:]}
    actors = enumerate(scenario.actors)
    return [each for each, actor in actors if isinstance(actor, Client | Sweeper) and each not in others]


async def without_repetitions(plans: Iterable[FaultPlan], service: ServiceUnderTest) -> list[FaultPlan]:
    """Leave out the scenarios in which every command meets what it meets in a smaller one.

    Args:
        plans: the plans.
        service: the service behind its gate; each scenario is run on it once, or thrice.
    """
    seen: set[Hashable] = set()
    kept = []
    for plan in sorted(plans, key=lambda plan: len(plan.scenario.actors)):
        race = scenario_race(plan.scenario, service)
        try:
            await race.prepare()
            met = set(meetings(plan.scenario, await run_race(race, FirstReady())))
        except (DivergenceError, SchedulingError):
            met = {plan.scenario.name}  # the exploration says why it cannot be run
        if not met <= seen:
            kept.append(plan)
        seen |= met
    return kept


def meetings(scenario: Scenario, execution: Execution) -> Iterator[Hashable]:
    """For each actor whose statements are hurt, what it does, from where, and whom it meets.

    Args:
        scenario: the scenario.
        execution: a run of it.
    """
    touched = [_touched(execution, process) for process in range(len(scenario.actors))]
    for process in hurt_in(scenario):
        actor = scenario.actors[process]
        met = frozenset(
            _seen_by(actor, other)
            for number, other in enumerate(scenario.actors)
            if number != process and touched[number].dependent(touched[process])
        )
        yield _seen_by(actor, actor), scenario.prepared, scenario.past_window, scenario.instances, met


def _touched(execution: Execution, process: int) -> Footprint:
    return union(step.touched for step in execution.steps if step.process == process)


def _seen_by(actor: Actor, other: Actor) -> Hashable:
    """What another actor does, and in which arguments its commands are other ones: whether keys are equal."""
    match other:
        case Client():
            mine = actor.commands if isinstance(actor, Client) else ()
            return frozenset((each.f, *_differing(mine, each)) for each in other.commands)
        case Tick() | Holder():
            return other
        case Sweeper():
            return "sweep"


def _differing(commands: Sequence[Command], other: Command) -> Iterator[str]:
    for name, value in sorted(other.arguments.items()):
        if all(value != each.arguments.get(name, value) for each in commands):
            yield name
