"""A part of an examination, by names: of levels, checks, scenarios and faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from payments_verify.payments.conformance.examination import CHECKS, Examination
from payments_verify.payments.conformance.levels import LEVELS
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from pgweave.gate import OF_POSTGRESQL

_INTERLEAVINGS, _FAULTS = 4, 5


class SelectionError(ValueError):
    """Nothing has such a name, or what has it cannot be run; the message says which."""


def levels_of(names: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Sequence[int]:
    """The levels that what names say is part of; every level without any.

    Args:
        names: of levels (``sequential``), checks (``stress``), scenarios and faults, spaces as dashes.
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
        if name not in SCENARIOS:
            raise SelectionError(f"no scenario is named {name!r}; there are {', '.join(SCENARIOS)}")
        for level in (_INTERLEAVINGS, _FAULTS):
            chosen[level].append(name)
    return chosen


def _levels_of(name: str) -> Sequence[int]:
    """The levels that a name is of."""
    known: dict[str, Sequence[int]] = {_dashed(title): (level,) for level, title in LEVELS.items()}
    known |= CHECKS
    known |= dict.fromkeys(SCENARIOS, (_INTERLEAVINGS, _FAULTS))
    known |= {_dashed(each.value): (_FAULTS,) for each in OF_POSTGRESQL}
    try:
        return known[_dashed(name)]
    except KeyError:
        raise SelectionError(f"nothing is named {name!r}; there are {', '.join(known)}") from None


def _require_runnable(examination: Examination, names: Collection[str]) -> None:
    """See that every scenario that is named can be run.

    Raises:
        SelectionError: one cannot; the message says why.
    """
    there = {each.name for each in examination.scenarios}
    for name in names:
        if name in SCENARIOS and name not in there:
            raise SelectionError(f"{name} cannot be run: {_why_not_run(name, examination.unchecked)}")


def _why_not_run(name: str, unchecked: Sequence[str]) -> str:
    """The reason that comes first: the service's statements, then its clock, then what the scenario needs."""
    own = [each for each in unchecked if each.startswith(f"scenario {name} (")]
    if any(each.endswith(" lacks clock") for each in own):
        own = [*(each for each in unchecked if each.startswith("the clock is not moved: ")), *own]
    whole = [each for each in unchecked if each.startswith("levels 4 and 5: ")]
    return next(iter([*whole, *own]), "it is no part of this")


def _narrowed(
    examination: Examination, parts: Mapping[int, str], chosen: Mapping[int, Collection[str]]
) -> Examination:
    scenarios, plans = examination.scenarios, examination.fault_plans
    if _INTERLEAVINGS in parts:
        scenarios = [each for each in scenarios if each.name in chosen[_INTERLEAVINGS]]
    if _FAULTS in parts:
        named = set(chosen[_FAULTS])
        if raced := named.intersection(SCENARIOS):
            plans = [each for each in plans if each.scenario.name in raced]
        if hurt := named.difference(SCENARIOS):
            plans = [
                replace(each, faults=tuple(fault for fault in each.faults if _dashed(fault.value) in hurt))
                for each in plans
            ]
        plans = [each for each in plans if each.faults]
    checks = {level: frozenset(chosen[level]) for level in parts if level < _INTERLEAVINGS}
    return replace(examination, scenarios=scenarios, fault_plans=plans, parts=parts, checks=checks)


def _dashed(name: str) -> str:
    return name.replace(" ", "-")
