"""What a whole run cost, what each technique alone has found, and the cheapest that find it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lab.mutants.results import Matrix


@dataclass(frozen=True)
class Effort:
    """What a technique cost in all its trials, and what it found.

    Attributes:
        technique: its name.
        trials: how many were made.
        seconds: how long they took, one after the other.
        cases: what was tried in them, in the technique's own unit.
        killed: the mutants that it killed for their own reason.
    """

    technique: str
    trials: int
    seconds: float
    cases: int
    killed: frozenset[str]


def efforts(found: Matrix) -> list[Effort]:
    """What each technique cost and found."""
    return [_effort(found, name) for name in found.techniques]


def _effort(found: Matrix, name: Any) -> Effort:
    trials = [trial for row in found.rows.values() if (trial := row[name].trial) is not None]
    return Effort(
        technique=name,
        trials=len(trials),
        seconds=sum(trial.wall_s for trial in trials),
        cases=sum(trial.tries for trial in trials),
        killed=frozenset(row for row in found.mutants if found.rows[row][name].state == "killed"),
    )


def only_finders(each: Effort, others: Sequence[Effort]) -> list[str]:
    """The mutants that no other technique has killed."""
    return sorted(each.killed.difference(*(other.killed for other in others if other is not each)))


def cheapest(found: Sequence[Effort]) -> Sequence[Effort]:
    """The techniques that together kill all that is killed, in the fewest seconds."""
    everything = frozenset[str]().union(*(each.killed for each in found))
    sets = (chosen for size in range(len(found) + 1) for chosen in combinations(found, size))
    enough = (chosen for chosen in sets if everything <= frozenset[str]().union(*(e.killed for e in chosen)))
    return min(enough, key=lambda chosen: sum(each.seconds for each in chosen))


def figures(found: Matrix) -> Mapping[str, Any]:
    """The figures of a run as plain data."""
    made = efforts(found)
    chosen = cheapest(made)
    return {
        "techniques": [
            {
                "name": each.technique,
                "trials": each.trials,
                "seconds": round(each.seconds, 1),
                "cases": each.cases,
                "killed": len(each.killed),
                "only_finder_of": only_finders(each, made),
            }
            for each in made
        ],
        "cheapest": {
            "techniques": [each.technique for each in chosen],
            "seconds": round(sum(each.seconds for each in chosen), 1),
        },
    }
