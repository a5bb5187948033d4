"""What races are to be explored on a service: found by running each command once, alone, in each state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.races.actors import CLOCK
from payments_verify.payments.scenarios.catalogue import Holder, Scenario
from payments_verify.payments.scenarios.discovered import (
    ACTORS,
    STATES,
    can_race,
    canonical,
    is_there,
    scenario_of,
)
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave.discovery.candidates import Candidate, Group, plan
from pgweave.discovery.telling import explain, rows_told
from pgweave.discovery.trace import Trace, TracedStep
from pgweave.drive.alone import run_alone
from pgweave.interleavings.footprint import Access, Footprint, Mode

Lacking = Callable[[Scenario], str | None]
"""Says what a service lacks for a scenario; ``None`` if nothing."""

OnTrace = Callable[[int, int, str], object]
"""Is told how many traces are made, of how many, and which was the last."""

_EARLIER, _LAST = "authorized", "last-instant"
_LATER = {_LAST: "past-window"}
"""The states that the clock leads to."""


@dataclass(frozen=True)
class Discovered:
    """A scenario that nobody wrote.

    Attributes:
        scenario: what is raced; its anomaly says why.
        rows: the rows that the actors share, for people; empty for one that is wrong when it is alone.
        is_foretold: whether an order that no serial one explains is foretold of it.
    """

    scenario: Scenario
    rows: str = ""
    is_foretold: bool = False


@dataclass(frozen=True)
class Discovery:
    """What was found by running each command alone.

    Attributes:
        traced: the scenarios of one actor that were run.
        races: what is to be explored: first who is wrong when alone, then the others in the order of
            `Candidate.order`.
        independent: the pairs that share no rows, by state: nobody can tell their order.
        serial: of how many triples locks let no order come about that pairs do not show.
        not_understood: statements of which it is not known what they touch.
        left_out: what could not be run, and why.
    """

    traced: tuple[str, ...] = ()
    races: tuple[Discovered, ...] = ()
    independent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    serial: int = 0
    not_understood: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


async def discover(
    service: ServiceUnderTest,
    lacking: Lacking = lambda _scenario: None,
    on_trace: OnTrace = lambda _done, _total, _name: None,
) -> Discovery:
    """Run each command alone in each state, and say what races are to be explored.

    Args:
        service: the service behind its gate.
        lacking: what it lacks for a scenario.
        on_trace: is told of each trace.

    Raises:
        SchedulingError: a command alone did not come to its end.
        DivergenceError: it did not do the same when it was run again.
    """
    usable, left_out = _usable(lacking)
    traces: dict[str, dict[str, Trace]] = {}
    wrong: list[Discovered] = []
    for number, (state, actor) in enumerate(usable):
        scenario = scenario_of(state, [actor], f"{ACTORS[actor].name} is wrong when nobody else is there")
        on_trace(number, len(usable), scenario.name)
        trace, is_right = await _run_alone(scenario, service)
        traces.setdefault(state.name, {})[actor] = trace
        if not is_right:
            wrong.append(Discovered(scenario))
    return _planned(traces, wrong, left_out)


def _usable(lacking: Lacking) -> tuple[list[tuple[Scenario, str]], list[str]]:
    """Who can act in which state of a service; and what cannot be run, and why."""
    usable: list[tuple[Scenario, str]] = []
    left_out: dict[str, None] = {}
    for state in STATES.values():
        why = lacking(state)
        if why is not None:
            left_out[f"{state.name}: {why}"] = None
            continue
        for actor in (each for each in ACTORS if is_there(each, state)):
            why = lacking(scenario_of(state, [actor]))
            if why is None:
                usable.append((state, actor))
            else:
                left_out[f"{actor}: {why}"] = None
    if any(state.name == _LAST for state, _ in usable):
        usable = [(state, actor) for state, actor in usable if state.name != _EARLIER]
    return usable, list(left_out)


async def _run_alone(scenario: Scenario, service: ServiceUnderTest) -> tuple[Trace, bool]:
    """The trace of a scenario's only actor, and whether the model explains what it did."""
    (actor,) = scenario.actors
    alone = await run_alone(scenario_race(scenario, service), actor.name)
    trace = _as_if_it_decided(alone.trace) if isinstance(actor, Holder) else alone.trace
    return trace, alone.violation is None


def _as_if_it_decided(trace: Trace) -> Trace:
    """The trace of a session that holds a row, as if it had looked at the clock and then changed the row.

    That it lets the row go at an instant is all that it does, and what the others did has to be explained by.
    """
    held = {each.rows for step in trace.steps for each in step.footprint.accesses if each.mode is Mode.LOCK}
    decided = Footprint.of(Access(Mode.READ, CLOCK), *(Access(Mode.PUBLISH, rows) for rows in held))
    last = trace.steps[-1]
    return Trace(trace.name, (*trace.steps[:-1], TracedStep(last.label, last.footprint | decided)))


def _planned(
    traces: Mapping[str, Mapping[str, Trace]], wrong: Sequence[Discovered], left_out: Sequence[str]
) -> Discovery:
    candidates: list[tuple[Candidate, str]] = []
    independent: dict[str, tuple[str, ...]] = {}
    serial = 0
    for name, in_state in traces.items():
        actors = list(in_state)

        def traces_of(group: Group, name: str = name, actors: Sequence[str] = actors) -> list[list[Trace]]:
            return [
                _traces_of(actors[each], name, [actors[other] for other in group], traces) for each in group
            ]

        planned = plan(
            len(actors),
            traces_of,
            alike=partial(_of_actors, canonical, actors),
            is_possible=partial(_of_actors, partial(can_race, state=STATES[name]), actors),
        )
        candidates += [(each, name) for each in planned.candidates]
        serial += len(planned.serial)
        independent[name] = tuple(
            " and ".join(actors[each] for each in group) for group in planned.independent
        )
    candidates.sort(key=lambda each: each[0].order)
    found = [_discovered(each, STATES[name], list(traces[name])) for each, name in candidates]
    everything = [each for in_state in traces.values() for each in in_state.values()]
    return Discovery(
        traced=tuple(f"{state},{actor}" for state, in_state in traces.items() for actor in in_state),
        races=(*wrong, *found),
        independent=independent,
        serial=serial,
        not_understood=tuple(dict.fromkeys(label for each in everything for label in each.not_understood)),
        left_out=tuple(left_out),
    )


def _of_actors(function: Callable[[Sequence[str]], Any], actors: Sequence[str], group: Group) -> Any:  # noqa: ANN401 - the function's
    return function([actors[each] for each in group])


def _traces_of(
    actor: str, state: str, company: Sequence[str], traces: Mapping[str, Mapping[str, Trace]]
) -> list[Trace]:
    """The traces of an actor: where the clock moves as well, also that of after it has moved."""
    later = traces.get(_LATER.get(state, ""), {}) if "clock" in company else {}
    found = [traces[state][actor], *(later[actor] for _ in [0] if actor in later)]
    return found[:1] if len(found) > 1 and found[0].footprints == found[1].footprints else found


def _discovered(candidate: Candidate, state: Scenario, actors: Sequence[str]) -> Discovered:
    scenario = scenario_of(state, [actors[each] for each in candidate.members], explain(candidate))
    return Discovered(scenario, rows_told(candidate.rows), candidate.anomaly is not None)
