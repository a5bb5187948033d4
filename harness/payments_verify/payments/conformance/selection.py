"""A part of an examination, by names: of levels, checks, scenarios and faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from payments_verify.payments.conformance.examination import CHECKS, Examination
from payments_verify.payments.conformance.levels import LEVELS
from payments_verify.payments.faults.disconnects import DISCONNECT
from payments_verify.payments.faults.kills import KILLED
from payments_verify.payments.faults.plans import FEW_FAULT_SCENARIOS, FaultPlan, plan_of
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.payments.scenarios.named import ONE_KEY_TWO_PAYMENTS, OTHERS_ON_TWO_INSTANCES
from pgweave.gate import OF_POSTGRESQL

_INTERLEAVINGS, _FAULTS = 4, 5
_RACED_ALONE = {each.name: each for each in (*OTHERS_ON_TWO_INSTANCES, ONE_KEY_TWO_PAYMENTS)}
_RACED: Mapping[str, Scenario] = {
    **SCENARIOS,
    **{each.name: each for each in FEW_FAULT_SCENARIOS},
    **_RACED_ALONE,
}
"""The scenarios that can be named: those that level 4 explores, and those that are for faults alone."""


class SelectionError(ValueError):
    """Nothing has such a name, or what has it cannot be run; the message says which."""


def levels_of(names: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Sequence[int]:
    """The levels that what names say is part of; every level without any.

    Args:
        names: of levels (``sequential``), checks (``stress``), scenarios and faults (``disconnect`` for
            clients that hang up), spaces as dashes.
        scenarios: names of scenarios.

    Raises:
        SelectionError: nothing has such a name.
    """
    return sorted(_chosen(names, scenarios)) or tuple(LEVELS)


def select(examination: Examination, names: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Examination:
    """The part of an examination that names say; all of it without any.

    Args:
        examination: all that can be run.
        names: as ``levels_of`` takes them.
        scenarios: likewise.

    Raises:
        SelectionError: nothing has such a name, or what has it cannot be run.
    """
    chosen = _chosen(names, scenarios)
    _require_runnable(examination, [name for each in chosen.values() for name in each])
    parts = {
        level: f"only {', '.join(named)}"
        for level, named in chosen.items()
        if _dashed(LEVELS[level]) not in named
    }
    return _narrowed(examination, parts, chosen)


def _chosen(names: Sequence[str], scenarios: Sequence[str]) -> Mapping[int, list[str]]:
    """What is named, by the levels that it is part of."""
    chosen: defaultdict[int, list[str]] = defaultdict(list)
    for name in names:
        for level in _levels_of(name):
            chosen[level].append(_dashed(name))
    for name in scenarios:
        if name not in _RACED:
            raise SelectionError(f"no scenario is named {name!r}; there are {', '.join(_RACED)}")
        for level in _levels_of(name):
            chosen[level].append(name)
    return chosen


def _levels_of(name: str) -> Sequence[int]:
    """The levels that a name is of."""
    known: dict[str, Sequence[int]] = {_dashed(title): (level,) for level, title in LEVELS.items()}
    known |= CHECKS
    known |= dict.fromkeys(
        [*_RACED, *(_dashed(each.value) for each in OF_POSTGRESQL), DISCONNECT, KILLED], (_FAULTS,)
    )
    known |= dict.fromkeys(SCENARIOS, (_INTERLEAVINGS, _FAULTS))
    known |= dict.fromkeys(_RACED_ALONE, (_INTERLEAVINGS,))
    try:
        return known[_dashed(name)]
    except KeyError:
        raise SelectionError(f"nothing is named {name!r}; there are {', '.join(known)}") from None


def _require_runnable(examination: Examination, names: Collection[str]) -> None:
    """See that every scenario that is named can be run.

    Raises:
        SelectionError: one cannot; the message says why.
    """
    two = examination.on_two
    there = {each.name for each in (*examination.scenarios, *(two.scenarios if two is not None else ()))}
    for name in names:
        if name not in _RACED or name in there:
            continue
        unchecked = list(examination.unchecked)
        if (
            name not in SCENARIOS and name not in _RACED_ALONE and examination.open_behind_gate is not None
        ):  # it is for faults alone
            lacking = examination.lacks(_RACED[name])
            if lacking is None:
                continue
            unchecked.append(f"scenario {name} (level 5): the binding lacks {lacking}")
        raise SelectionError(f"{name} cannot be run: {_why_not_run(name, unchecked)}")


def _why_not_run(name: str, unchecked: Sequence[str]) -> str:
    """The reason that comes first: the service's statements, then its clock, then what the scenario needs."""
    own = [each for each in unchecked if each.startswith(f"scenario {name} (")]
    if any(each.endswith(" lacks clock") for each in own):
        own = [*(each for each in unchecked if each.startswith("the clock is not moved: ")), *own]
    whole = [each for each in unchecked if each.startswith("levels 4 and 5: ")]
    if name.endswith("-on-two-instances"):
        own += [each for each in unchecked if each.startswith("two processes ")]
    return next(iter([*whole, *own]), "it is no part of this")


def _narrowed(
    examination: Examination, parts: Mapping[int, str], chosen: Mapping[int, Collection[str]]
) -> Examination:
    scenarios, two = examination.scenarios, examination.on_two
    if _INTERLEAVINGS in parts:
        scenarios = [each for each in scenarios if each.name in chosen[_INTERLEAVINGS]]
        on_two = () if two is None else two.scenarios
        on_two = [each for each in on_two if each.name in chosen[_INTERLEAVINGS]]
        two = None if two is None else replace(two, scenarios=on_two)
    checks = {level: frozenset(chosen[level]) for level in parts if level < _INTERLEAVINGS}
    narrowed = replace(examination, scenarios=scenarios, on_two=two, parts=parts, checks=checks)
    if _FAULTS not in parts:
        return narrowed
    plans = _plans_of(examination.fault_plans, chosen[_FAULTS])
    named = chosen[_FAULTS]
    kills = KILLED in named and examination.kills
    return replace(narrowed, fault_plans=plans, hangs_up=DISCONNECT in named, kills=kills)


def _plans_of(plans: Sequence[FaultPlan], names: Collection[str]) -> Sequence[FaultPlan]:
    """What names leave of plans; a scenario that has no plan, and is named, gets one."""
    known = {each.scenario.name: each for each in plans}
    raced = [known.get(name) or plan_of(_RACED[name]) for name in names if name in _RACED]
    hurt = {name for name in names if name not in {*_RACED, DISCONNECT, KILLED}}
    if not raced and not hurt:
        return ()
    chosen = raced or plans
    if hurt:
        chosen = [
            replace(each, faults=tuple(fault for fault in each.faults if _dashed(fault.value) in hurt))
            for each in chosen
        ]
    return [each for each in chosen if each.faults]


def _dashed(name: str) -> str:
    return name.replace(" ", "-")
