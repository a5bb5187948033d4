"""Reads the log, or the `history.txt`, of a Jepsen test of compare-and-set registers.

An operation is ``PROCESS :TYPE :F VALUE``, alone on its line or after what a logger puts before it
(``INFO  jepsen.util -``, an instant, a thread's name); an error may stand after the value. Lines without an
operation are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from pgweave.history.formats import edn
from pgweave.history.formats.edn import EdnError, Form, Keyword
from pgweave.history.formats.jepsen import Entry, Said, history_of, said_by
from pgweave.history.json_lines import lines_of
from pgweave.history.operations import History, HistoryError

_NAME = r"""[^\s,;"()\[\]{}]+"""
_OPERATION = re.compile(
    r"(?P<prefix>\s*INFO\s+jepsen\.util\s+-\s+||.*?\s)"
    rf"(?P<process>-?\d{{1,18}}|:nemesis|:{_NAME}(?=\s+:(?:invoke|ok|fail|info)\s))"
    rf"\s+:(?P<kind>{_NAME})\s+:(?P<f>{_NAME})(?P<rest>\s.*)?",
    re.ASCII,
)
_MEANT_AS_ONE = re.compile(
    r"\s*(-?\d+|:\S+)(\s+:.*|\s*)|.*\bjepsen\.util\b.*|(.*\s)?:(invoke|ok|fail|info)(\s+:.*|\s*)", re.ASCII
)


def is_log(data: bytes) -> bool:
    """Whether a line has an operation, or was to have one."""
    lines = (line.decode(errors="backslashreplace") for _, line in lines_of(data.split(b"\n")))
    return any(_OPERATION.fullmatch(line) or _MEANT_AS_ONE.fullmatch(line) for line in lines)


def parse_jepsen(data: bytes, source: str) -> History:
    """Read a Jepsen test's log, or its `history.txt`.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        The history, for the `cas-register` specification.

    Raises:
        HistoryError: The bytes are not such a log; says the line and what was wrong.
    """
    entries = list(_log_entries(data, source))
    if not entries:
        raise HistoryError(f"{source}: no line reads `INFO  jepsen.util - PROCESS :TYPE :F VALUE`")
    return history_of(entries, source, "jepsen")


def _log_entries(data: bytes, source: str) -> Iterator[Entry]:
    stands_alone = False
    others: list[int] = []
    for number, line in lines_of(data.split(b"\n")):
        text = line.decode(errors="backslashreplace")
        found = _OPERATION.fullmatch(text.rstrip())
        if found is not None:
            prefix, process, kind, f, rest = found.groups()
            stands_alone |= not prefix.strip()
            try:
                said = None if process == ":nemesis" else _said_in_log(kind, f, rest or "")
            except HistoryError as error:
                raise HistoryError(f"{source}:{number}: {error}") from None
            who: Form = Keyword(process[1:]) if process.startswith(":") else int(process)
            yield number, who, said, None
        elif _MEANT_AS_ONE.fullmatch(text):
            raise HistoryError(
                f"{source}:{number}: {text.strip()!r} lacks something of PROCESS :TYPE :F VALUE"
            )
        else:
            others.append(number)
        if stands_alone and others:
            raise HistoryError(
                f"{source}:{others[0]}: no operation, and in this file operations stand alone on their lines"
            )


@lru_cache(maxsize=1_024)  # registers hold few values: most lines of a log say what others have said
def _said_in_log(kind: str, f: str, rest: str) -> Said:
    # what comes with a failure is free text
    value = _value_of_failure if kind in ("fail", "info") else _value
    return said_by(kind, f, value(rest.strip()))


def _value(text: str) -> Form:
    found = list(islice(edn.forms(text), 2))
    if len(found) != 1:
        raise HistoryError(f"{text[:60]!r} is not one value")
    return found[0][1]


def _value_of_failure(text: str) -> Form:
    try:
        return next((form for _, form in edn.forms(text)), None)
    except EdnError:
        return None
