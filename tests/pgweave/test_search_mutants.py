"""Mutants of the search: every rule that prunes is broken on purpose, and the definition must notice.

A mutant is the source of the search with one line changed. It runs on the same small histories as the real
one; a mutant that is right on all of them would mean that these histories prove little.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgweave.history import linearizability, plan, search
from pgweave.history.formats import load
from pgweave.history.linearizability import Part, check
from pgweave.history.operations import Operation
from pgweave.history.spec import Spec
from tests.pgweave import brute_force
from tests.pgweave.small_specs import OURS, SMALL, atomic_kv_history

HISTORIES_EACH = 250

MUTANTS = {
    "forgets the state": (search, "(now, low, after), high", "(now, low, 0), high"),
    "forgets what is placed": (search, "(now, low, after), high", "(now, 0, after), high"),
    "forgets how far it is": (search, "(now, low, after), high", "(0, low, after), high"),
    "forgets which unknowns were used": (search, "if other & high == other:", "if True:"),
    "prefers more unknowns used": (search, "if other & high == other:", "if other & high == high:"),
    "takes illegal steps": (search, "states = transitions[state]", "states = transitions[state] or (state,)"),
    "drops unknowns": (search, "chain(*plan.candidates(passed))", "plan.candidates(passed)[0]"),
    "takes any operation without alternatives": (search, "if transitions.observes:", "if states:"),
    "takes the first of several states": (search, "for after in states\n", "for after in states[:1]\n"),
    "leaves returned operations in their slots": (search, "placed ^= returning[now]", "pass"),
    "stops when one return is passed": (search, "if node[0] == self.plan.answered:", "if node[0] >= 1:"),
    "sets aside what may get as far": (search, "if bound < self._bound:", "if bound <= self._bound:"),
    "tries no alternative": (search, "return found, number", "return found, 0"),
    "tries an alternative too late": (search, "tried, None)", "tried + 1, None)"),
    "never resumes": (search, "if self._bound < self._score[0]:", "if self._bound <= self._score[0]:"),
    "waits for what is placed": (plan, "placed & prospects.bit or", "False or"),
    "foresees too little to come": (plan, "yield from plan.operations[self._passed : index]", "return"),
    "foresees for a later return": (plan, "return prospects.index", "return 0"),
    "ignores real time": (plan, "answered[by_call[-1]].called < moment:", "True:"),
    "starts unknowns before their call": (plan, ".called > moment:", ".called < 0:"),
    "never starts unknowns": (plan, ".called > moment:", ".called > 0:"),
    "sorts by call, not by return": (plan, "insort(active, by_call.pop())", "active.append(by_call.pop())"),
    "shares slots": (plan, "used += 1", "pass"),
    "takes different responses for equal": (
        plan,
        "operation.outcome, operation.response)",
        "operation.outcome)",
    ),
    "takes different outcomes for equal": (
        plan,
        "operation.outcome, operation.response)",
        "operation.response)",
    ),
    "takes different arguments for equal": (
        plan,
        "(operation.f, operation.value, operation.outcome",
        "(operation.f, operation.outcome",
    ),
}


Known = tuple[str, Sequence[Operation], Mapping[str, tuple[tuple[int, int], set[Any]]]]
"""A specification, a history, and of each part that is not linearizable the longest prefixes."""


@cache
def known() -> tuple[Known, ...]:
    """Small histories, by chance and our own, with their verdicts by definition; and of an atomic store."""
    rng = random.Random(20240225)
    histories = [(name, history(rng)) for name, (_, history) in SMALL.items() for _ in range(HISTORIES_EACH)]
    for path in OURS:
        recorded = load(path)
        histories.append((recorded.spec or "", list(recorded.operations)))
    found: list[Known] = []
    for name, operations in histories:
        spec: Spec[Any] = SMALL[name][0]
        parts = spec.partition(operations)
        wrong = [label for label, part in parts.items() if not brute_force.is_linearizable(spec, part)]
        found.append((name, operations, {label: brute_force.longest(spec, parts[label]) for label in wrong}))
    return (*found, *(("kv", atomic_kv_history(rng, 6, 4), {}) for _ in range(HISTORIES_EACH)))


def disagreements() -> Iterator[str]:
    """Name what the search gets wrong; a mutant may also fail with any exception."""
    for name, operations, longest in known():
        spec: Spec[Any] = SMALL[name][0]
        try:
            result = check(spec, operations, max_entries=10_000)
        except Exception as error:  # noqa: BLE001
            yield f"{name}: {error!r}"
        else:
            if result.verdict != ("violated" if longest else "holds") or not is_longest(
                result.refuted, longest
            ):
                yield name


def is_longest(refuted: Part[Any] | None, longest: Mapping[str, tuple[tuple[int, int], set[Any]]]) -> bool:
    if refuted is None:
        return True
    score = brute_force.score(refuted.operations, [step.operation for step in refuted.order])
    return longest.get(refuted.label) == (score, set(refuted.ends))


def mutated(module: ModuleType, old: str, new: str) -> ModuleType:
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} is not one place of {module.__name__}: update the mutant"
    changed = ModuleType(module.__name__)
    exec(compile(source.replace(old, new), f"<mutant of {module.__name__}>", "exec"), changed.__dict__)
    return changed


def test_the_search_itself_never_disagrees() -> None:
    assert list(disagreements()) == []


def test_the_histories_have_both_verdicts_often() -> None:
    for name in SMALL:
        verdicts = [not longest for one, _, longest in known() if one == name][:HISTORIES_EACH]
        assert HISTORIES_EACH * 0.2 < sum(verdicts) < HISTORIES_EACH * 0.8


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_disagrees_with_the_definition(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, old, new = MUTANTS[mutant]
    changed = mutated(module, old, new)
    if module is plan:
        monkeypatch.setattr(search, "SearchPlan", changed.SearchPlan)
    else:
        monkeypatch.setattr(linearizability, "Search", changed.Search)
    assert next(disagreements(), None) is not None
