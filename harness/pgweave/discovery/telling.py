"""Why commands are explored together, for people."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from textwrap import shorten
from uuid import UUID

from pgweave.discovery.anomalies import Anomaly, Edge
from pgweave.discovery.candidates import Candidate
from pgweave.discovery.trace import ANYTHING, Trace, rows_changed
from pgweave.interleavings.footprint import Mode, Rows

_WIDTH = 90
_LETTERS = "ABC"


def explain(candidate: Candidate) -> str:
    """What makes a candidate one: a line for each command that comes before another, and what follows."""
    names = called([trace.name for trace in candidate.traces])
    if candidate.anomaly is None:
        return (
            f"{_joined(names)} use {rows_told(candidate.rows)}; in each order that their locks allow, one is"
            " served as if it came after the other"
        )
    edges = _from_the_check(candidate.anomaly, candidate.traces)
    told = [_edge(each, candidate.traces, names) for each in edges]
    next_ = "other" if len(names) == 2 else "next"
    ending = f"So each comes before the {next_}, and nothing makes {names[edges[0].later]} wait"
    return "\n".join([*told, ending])


def called(names: Sequence[str]) -> list[str]:
    """Names by which commands are told apart: those that are there twice get a letter."""
    return [
        f"{name} ({_LETTERS[names[:place].count(name)]})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def rows_told(rows: Iterable[Rows]) -> str:
    """Rows, for people: ``accounts(id)``; a value stands there where it is a word or a number."""
    return ", ".join(_rows_told(each) for each in rows) or "no rows"


def _from_the_check(anomaly: Anomaly, traces: Sequence[Trace]) -> Sequence[Edge]:
    """The circle, beginning with what was seen before another changed it."""
    edges = anomaly.edges
    start = next((place for place, each in enumerate(edges) if _is_check(each, traces)), 0)
    return (*edges[start:], *edges[:start])


def _is_check(edge: Edge, traces: Sequence[Trace]) -> bool:
    return edge.before is not None and not _changes(traces[edge.earlier], edge.before, _rows_of(edge, traces))


def _edge(edge: Edge, traces: Sequence[Trace], names: Sequence[str]) -> str:
    earlier, later = traces[edge.earlier], traces[edge.later]
    first, second = names[edge.earlier], names[edge.later]
    if edge.before is None:
        return f"{first} is over before {second} begins."
    rows = _rows_of(edge, traces)
    if rows == ANYTHING:
        return (
            f"{first} sends {_statement(earlier, edge.before)} before {second} sends"
            f" {_statement(later, edge.after)}; what one of them touches is not known."
        )
    if _changes(earlier, edge.before, rows):
        return (
            f"{first} changes {_rows_told(rows)} by {_writing(earlier, edge.before, rows)} before {second}"
            f" sees it by {_statement(later, edge.after)}."
        )
    return (
        f"{first} sees {_rows_told(rows)} by {_statement(earlier, edge.before)} before {second} changes it by"
        f" {_writing(later, edge.after, rows)}."
    )


def _rows_of(edge: Edge, traces: Sequence[Trace]) -> Rows:
    assert edge.before is not None
    one = traces[edge.earlier].steps[edge.before].footprint
    return rows_changed(one, traces[edge.later].steps[edge.after].footprint)[0]


def _changes(trace: Trace, step: int, rows: Rows) -> bool:
    accesses = trace.steps[step].footprint.accesses
    return any(each.mode is Mode.PUBLISH and each.rows.overlap(rows) for each in accesses)


def _writing(trace: Trace, end: int, rows: Rows) -> str:
    """The statement that wrote what a step makes visible: the last up to there that names the table."""
    named = re.compile(rf"\b{re.escape(rows.table)}\b")
    writes = [step for step in range(end + 1) if named.search(trace.steps[step].label)]
    return _statement(trace, writes[-1] if writes else end)


def _statement(trace: Trace, step: int) -> str:
    return f"`{shorten(trace.steps[step].label, _WIDTH, placeholder=' …')}`"


def _rows_told(rows: Rows) -> str:
    if not rows.columns:
        return rows.table
    named = (f"{name}{_value(value)}" for name, value in sorted(rows.columns.items()))
    return f"{rows.table}({', '.join(named)})"


def _value(value: Hashable) -> str:
    return "" if isinstance(value, UUID | bytes) else f" {value}"


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
