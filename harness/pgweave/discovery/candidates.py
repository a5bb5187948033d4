"""Which pairs and triples of commands are worth exploring, and what of the others can be said without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, product
from typing import TypeAlias

from pgweave.discovery.anomalies import Anomaly, foretell
from pgweave.discovery.trace import Trace, rows_in_conflict
from pgweave.interleavings.footprint import Rows

Group: TypeAlias = tuple[int, ...]
"""The numbers of commands that race, in their order; one may be there more than once."""

TracesOf: TypeAlias = Callable[[Group], Sequence[Sequence[Trace]]]
"""Gives, for each command of a group, the traces that it may have in this company."""

_LARGEST = 3


@dataclass(frozen=True)
class Candidate:
    """Commands that are to be explored together.

    Attributes:
        members: the commands.
        rows: what more than one of them uses, and at least one locks or changes.
        traces: of each, the trace that says so.
        anomaly: an order that no serial one explains; ``None`` if their locks let none come about.
    """

    members: Group
    rows: tuple[Rows, ...]
    traces: tuple[Trace, ...]
    anomaly: Anomaly | None = None

    @property
    def order(self) -> tuple[bool, int, int]:
        """Sorts what is likely to be wrong before what is less so, and then what is quick to explore.

        Where an order is foretold that no serial one explains comes first; a circle of those that all change
        something before one in which somebody only reads; pairs before triples.
        """
        return self.anomaly is None, sum(each.only_reads for each in self.traces), len(self.members)


@dataclass(frozen=True)
class Plan:
    """What is to be explored, and what is not.

    Attributes:
        candidates: pairs first, then triples.
        independent: the pairs that share no rows: whatever their order is, nobody can tell.
        serial: the triples whose locks let no order come about but those that pairs show already.
    """

    candidates: tuple[Candidate, ...]
    independent: tuple[Group, ...]
    serial: tuple[Group, ...]


def plan(
    commands: int,
    traces_of: TracesOf,
    *,
    alike: Callable[[Group], Hashable] = lambda group: group,
    is_possible: Callable[[Group], bool] = lambda _group: True,
) -> Plan:
    """Say what is to be explored: pairs that share rows, and triples in which an anomaly is foretold.

    Of triples that take the same steps, though they ask for something else, one is explored.

    Args:
        commands: how many there are.
        traces_of: gives the traces of the commands of a group.
        alike: what is the same for groups of which one is enough.
        is_possible: whether the commands of a group can race at all.
    """
    found: list[Candidate] = []
    independent: list[Group] = []
    serial: list[Group] = []
    taken: set[Hashable] = set()
    for group in _groups(commands, alike, is_possible):
        traces = [tuple(each) for each in product(*traces_of(group))]
        shared = next((each for each in traces if _is_connected(each)), None)
        foretold = next(((each, anomaly) for each in traces if (anomaly := foretell(each))), None)
        if foretold is not None:
            steps = frozenset(Counter(each.footprints for each in foretold[0]).items())
            if len(group) == 2 or steps not in taken:
                found.append(Candidate(group, _rows(foretold[0]), *foretold))
            taken.add(steps)
        elif len(group) > 2:
            serial.append(group)
        elif shared is None:
            independent.append(group)
        else:
            found.append(Candidate(group, _rows(shared), shared))
    return Plan(tuple(found), tuple(independent), tuple(serial))


def _groups(
    commands: int, alike: Callable[[Group], Hashable], is_possible: Callable[[Group], bool]
) -> Iterator[Group]:
    for size in range(2, _LARGEST + 1):
        seen: set[Hashable] = set()
        for group in combinations_with_replacement(range(commands), size):
            same = alike(group)
            if same not in seen and is_possible(group):
                seen.add(same)
                yield group


def _is_connected(traces: Iterable[Trace]) -> bool:
    return all(
        any(mine.footprint.dependent(theirs.footprint) for mine in one.steps for theirs in other.steps)
        for one, other in combinations(traces, 2)
    )


def _rows(traces: Iterable[Trace]) -> tuple[Rows, ...]:
    """What the commands share, each table once, as narrowly as any two of them name it."""
    found: dict[str, Rows] = {}
    for one, other in combinations(traces, 2):
        for mine, theirs in product(one.footprints, other.footprints):
            for rows in rows_in_conflict(mine, theirs):
                known = found.get(rows.table)
                if known is None or len(rows.columns) > len(known.columns):
                    found[rows.table] = rows
    return tuple(found[table] for table in sorted(found))
