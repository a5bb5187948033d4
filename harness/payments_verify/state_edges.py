"""The edges of the model's state graph, as far as a payment's state says where one begins and ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from payments_model import Record, state_of


class Edge(NamedTuple):
    """What a command leads to.

    Attributes:
        before: the payment's state; ``none`` where there is none.
        command: the command's name.
        answer: the outcome's name, with `` (replayed)`` where it was given again.
        after: the state afterwards.
    """

    before: str
    command: str
    answer: str
    after: str


class EdgeCount(msgspec.Struct, frozen=True):
    """How often an edge was taken, as reports have it."""

    before: str
    command: str
    answer: str
    after: str
    times: int

    @property
    def edge(self) -> Edge:
        """The edge."""
        return Edge(self.before, self.command, self.answer, self.after)


def state_name(record: Record) -> str:
    """The state of a record's payment; ``none`` where there is none."""
    return "none" if record.payment is None else state_of(record.payment).name.lower()


def edge_counts(found: Counter[Edge]) -> list[dict[str, Any]]:
    """The edges for a report, in order."""
    counts = [EdgeCount(*edge, times) for edge, times in sorted(found.items())]
    built: list[dict[str, Any]] = msgspec.to_builtins(counts)
    return built


def edges_of(counts: Iterable[Mapping[str, Any]]) -> Counter[Edge]:
    """The edges of a report.

    Raises:
        msgspec.ValidationError: they are none.
    """
    read = msgspec.convert(list(counts), list[EdgeCount])
    return Counter({each.edge: each.times for each in read})
