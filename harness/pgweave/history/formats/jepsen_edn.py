"""Reads the `history.edn` of a Jepsen test of compare-and-set registers: maps, or a vector of maps.

An operation is a map, ``{:process 0, :type :invoke, :f :read, :value nil}``, with its keys in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgweave.history.formats import edn
from pgweave.history.formats.edn import Form, Keyword, Map, Tagged
from pgweave.history.formats.jepsen import NEMESIS, Entry, Said, history_of, said_by
from pgweave.history.operations import History, HistoryError


def parse_edn(data: bytes, source: str) -> History:
    """Read a Jepsen test's `history.edn`: maps, or a vector of maps.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `cas-register` specification.

    Raises:
        HistoryError: The bytes are not such a history; says the line and what was wrong.
    """
    return history_of(_edn_entries(edn.elements_of_file(data, source), source), source, "edn")


def _edn_entries(elements: Iterable[tuple[int, Form]], source: str) -> Iterator[Entry]:
    last = -1
    for number, form in elements:
        op = form.form if isinstance(form, Tagged) and form.tag.startswith("jepsen.") else form
        if not isinstance(op, Map):
            raise HistoryError(f"{source}:{number}: {edn.shown(form)[:60]} is no operation")
        missing = [name for name in ("process", "type", "f") if op.get(name) is None]
        if missing:
            raise HistoryError(f"{source}:{number}: the operation has no :{missing[0]}")
        index = op.get("index")
        if type(index) is int and index <= last:
            raise HistoryError(f"{source}:{number}: its :index is {index}, and one before it has {last}")
        last = index if type(index) is int else last
        try:
            who = op.get("process")
            said = None if who == NEMESIS else _said_in_edn(op)
        except HistoryError as error:
            raise HistoryError(f"{source}:{number}: {error}") from None
        yield number, who, said, op.get("time")


def _said_in_edn(op: Map) -> Said:
    return said_by(_name(op.get("type")), _name(op.get("f")), op.get("value"))


def _name(form: Form) -> str:
    return form.name if isinstance(form, Keyword) else edn.shown(form)
