"""Which features of the protocol the clients of a gate use, as their messages show."""

from __future__ import annotations

import re
from enum import Enum

from pgweave.gate import wire

_SAVEPOINT = re.compile(r"\s*(savepoint|release)\b", re.IGNORECASE)


class Feature(Enum):
    """A way to use the protocol that not every driver takes.

    Attributes:
        SIMPLE: statements in a Query message.
        EXTENDED: in Parse, Bind and Execute.
        NAMED: a statement is prepared under a name, to be executed again.
        DESCRIBED_FIRST: a Sync follows Parse and Describe, before anything is executed.
        PIPELINE: more than one statement is executed before a Sync.
        BINARY: parameters are sent in binary format.
        LITERALS: a quoted constant stands in the text of a Query.
        SAVEPOINTS: a savepoint is set or released.
        ROW_LIMIT: a statement is to give so many rows at first.
        COPY: rows are sent as a stream.
    """

    SIMPLE = "simple"
    EXTENDED = "extended"
    NAMED = "named statements"
    DESCRIBED_FIRST = "described first"
    PIPELINE = "pipeline"
    BINARY = "binary values"
    LITERALS = "literals"
    SAVEPOINTS = "savepoints"
    ROW_LIMIT = "row limit"
    COPY = "copy"


class Features:
    """The features that one connection uses.

    Args:
        met: where each is added.
    """

    def __init__(self, met: set[Feature]) -> None:
        self._met = met
        self._executed = 0
        self._described = False

    def note(self, kind: int, message: bytes) -> None:
        """Take in a message of the client.

        Raises:
            WireError: it is cut short.
        """
        match kind:
            case wire.QUERY:
                self._note_text(wire.query_text(message), is_query=True)
            case wire.PARSE:
                name, sql, _types = wire.parse_contents(message)
                self._met |= {Feature.EXTENDED} | ({Feature.NAMED} if name else set())
                self._note_text(sql, is_query=False)
            case wire.DESCRIBE:
                self._described = True
            case wire.BIND:
                _portal, _name, formats, values = wire.bind_contents(message)
                if values and 1 in formats:
                    self._met.add(Feature.BINARY)
            case wire.EXECUTE:
                self._note_execute(message)
            case wire.SYNC:
                if self._described and not self._executed:
                    self._met.add(Feature.DESCRIBED_FIRST)
                self._executed, self._described = 0, False
            case wire.COPY_DATA:
                self._met.add(Feature.COPY)

    def _note_text(self, sql: str, *, is_query: bool) -> None:
        if is_query:
            self._met |= {Feature.SIMPLE} | ({Feature.LITERALS} if "'" in sql else set())
        if _SAVEPOINT.match(sql):
            self._met.add(Feature.SAVEPOINTS)

    def _note_execute(self, message: bytes) -> None:
        self._executed += 1
        if self._executed > 1:
            self._met.add(Feature.PIPELINE)
        if int.from_bytes(message[-4:], "big"):
            self._met.add(Feature.ROW_LIMIT)
