"""Mutants of the search: every rule that prunes is broken on purpose, and the definition must notice.

A mutant is the source of the search with one line changed. It runs on the same small histories as the real
one; a mutant that is right on all of them would mean that these histories prove little.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from payments_verify import linearizability, plan, search
from payments_verify.formats import load
from payments_verify.history import Operation
from payments_verify.linearizability import check
from payments_verify.spec import Spec
from tests.harness import brute_force
from tests.harness.small_specs import OURS, SMALL

HISTORIES_EACH = 250

MUTANTS = {
    "forgets the state": (search, "key = (now, low, after)", "key = (now, low, 0)"),
    "forgets what is placed": (search, "key = (now, low, after)", "key = (now, 0, after)"),
    "forgets how far it is": (search, "key = (now, low, after)", "key = (0, low, after)"),
    "forgets which unknowns were used": (search, "if other & high == other:", "if True:"),
    "prefers more unknowns used": (search, "if other & high == other:", "if other & high == high:"),
    "takes illegal steps": (search, "states = transitions[state]", "states = transitions[state] or (state,)"),
    "drops unknowns": (search, "in plan.candidates(passed):", "in plan.candidates(passed)[:1]:"),
    "takes any operation without alternatives": (search, "if transitions.observes:", "if states:"),
    "takes the first of several states": (search, "for after in states:", "for after in states[:1]:"),
    "leaves returned operations in their slots": (search, "placed ^= returning[now]", "pass"),
    "stops when one return is passed": (search, "if node[0] == passed:", "if node[0] >= 1:"),
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


@cache
def known() -> tuple[tuple[str, Sequence[Operation], bool], ...]:
    """Small histories, by chance and our own, with their verdicts by definition."""
    rng = random.Random(20240225)
    histories = [(name, history(rng)) for name, (_, history) in SMALL.items() for _ in range(HISTORIES_EACH)]
    for path in OURS:
        recorded = load(path)
        histories.append((recorded.spec or "", list(recorded.operations)))
    found = []
    for name, operations in histories:
        spec: Spec[Any] = SMALL[name][0]
        parts = spec.partition(operations).values()
        found.append((name, operations, all(brute_force.is_linearizable(spec, part) for part in parts)))
    return tuple(found)


def disagreements() -> Iterator[str]:
    """Name what the search gets wrong; a mutant may also fail with any exception."""
    for name, operations, linearizable in known():
        spec: Spec[Any] = SMALL[name][0]
        try:
            verdict = check(spec, operations, max_entries=10_000).verdict
        except Exception as error:  # noqa: BLE001
            yield f"{name}: {error!r}"
        else:
            if verdict != ("ok" if linearizable else "illegal"):
                yield name


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
        verdicts = [linearizable for one, _, linearizable in known() if one == name]
        assert HISTORIES_EACH * 0.2 < sum(verdicts) < HISTORIES_EACH * 0.8


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_disagrees_with_the_definition(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, old, new = MUTANTS[mutant]
    changed = mutated(module, old, new)
    if module is plan:
        monkeypatch.setattr(search, "Plan", changed.Plan)
    else:
        monkeypatch.setattr(linearizability, "Search", changed.Search)
    assert next(disagreements(), None) is not None
