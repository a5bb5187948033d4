"""How many behaviours a race has in the specification: as many as there are schedules, or not.

If every schedule is run and each is a behaviour of the specification, and there are no more behaviours than
schedules, then the specification allows exactly what the service does.
"""

from __future__ import annotations

import tempfile
from functools import cache, lru_cache
from pathlib import Path

from lab.tla.races import NotModelledError, Protocol, configuration, programs_of
from lab.tla.tlc import Tlc
from lab.tla.values import Value, parse, unquoted
from payments_verify.payments.scenarios.catalogue import Scenario

_MODULE = """\
---- MODULE Counted ----
EXTENDS Behaviours
ScenarioPrograms == {programs}
====
"""
_ARROW = " -> "


def count_behaviours(tlc: Tlc, scenario: Scenario, protocol: Protocol | None = None) -> int:
    """How many ways lead from the beginning of a scenario to its end, behind the gate and without faults.

    Raises:
        NotModelledError: the specification does not have this scenario, or TLC came to no end.
        TlcError: TLC could not be run.
    """
    steps: dict[Value, set[Value]] = {}
    state = lru_cache(maxsize=None)(parse)

    def take(printed: str) -> None:
        before, after = unquoted(printed).split(_ARROW)
        steps.setdefault(state(before), set()).add(state(after))

    with tempfile.TemporaryDirectory(prefix="payments-counted-") as folder:
        path = Path(folder) / "Counted.tla"
        path.write_text(_MODULE.format(programs=programs_of(scenario)))
        values = path.with_suffix(".cfg")
        text = configuration(scenario, protocol or Protocol(), "Spec")
        values.write_text(f"{text}ACTION_CONSTRAINT Show\n")
        found = tlc.run(path, values, on_printed=take)
    if found.error is not None or found.violated is not None:
        raise NotModelledError(f"{scenario.name}: {found.error or found.violated}")
    return _ways(steps)


def _ways(steps: dict[Value, set[Value]]) -> int:
    """The ways through a graph without circles, from the one state that nothing leads to."""

    @cache
    def from_here(state: Value) -> int:
        return sum(map(from_here, steps[state])) if state in steps else 1

    later = {state for after in steps.values() for state in after}
    (first,) = steps.keys() - later
    return from_here(first)
