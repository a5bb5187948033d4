"""What a server says, made into something else that a server may say, so that its client can be watched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pgweave.gate import wire

Answer = tuple[int, bytes]
"""A message of the server: its type, and the whole of it."""

_NOT_REPLICATED = {
    "C": "01000",
    "M": "canceling wait for synchronous replication due to user request",
    "D": "The transaction has already committed locally, but might not have been replicated to the standby.",
}
_IN_GERMAN = {
    "S": "WARNUNG",
    "M": "storniere Warten auf synchrone Replikation wegen Benutzeraufforderung",
    "D": "Die Transaktion wurde lokal bereits committet, aber möglicherweise nicht zum Standby repliziert.",
}
_IDLE = b"I"  # how a ReadyForQuery ends, outside a transaction block
_ASKED = re.compile(r"\bcurrent_setting\s*\(\s*'(\w+)'")


class Altered(Protocol):
    """Makes the server's answers to a statement into others."""

    def shown(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """What the client is shown of the server's answers, which come in any number of parts."""


@dataclass(slots=True)
class NotReplicated:
    """PostgreSQL's warning at a commit whose wait for a synchronous standby was cancelled.

    It comes before the end of a COMMIT. What is not in a transaction block is committed by the Sync after it,
    and only if it has changed or locked a row.

    Attributes:
        is_in_block: whether the statement is in a transaction block.
        is_translated: whether the server speaks German; what programs read is the same.
        was_said: whether the client was warned.
    """

    is_in_block: bool
    is_translated: bool = False
    was_said: bool = False
    _rows: str = ""

    def shown(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """The same answers, and the warning at its place."""
        for kind, message in answers:
            if kind == wire.COMMAND_COMPLETE:
                tag = wire.first_string(message)
                self._rows = tag.rpartition(" ")[2]
                if self.is_in_block and tag == "COMMIT":
                    yield self._warning()
            elif kind == wire.READY and message.endswith(_IDLE) and self._changes_alone():
                yield self._warning()
            yield kind, message

    def _changes_alone(self) -> bool:
        return not self.is_in_block and self._rows.isdigit() and self._rows != "0"

    def _warning(self) -> Answer:
        self.was_said = True
        fields = _NOT_REPLICATED | (_IN_GERMAN if self.is_translated else {})
        return wire.NOTICE, wire.notice_message(fields, "WARNING")


@dataclass(slots=True)
class Reported:
    """A setting that has another value: where the server reports it, and where it answers what it is.

    Attributes:
        name: the setting's.
        value: its other value.
        sql: the statements that are answered; empty for what is said as a connection begins.
    """

    name: str
    value: str
    sql: str = ""
    _completed: int = 0

    def shown(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """The same answers with the other value."""
        for kind, message in answers:
            if kind == wire.PARAMETER_STATUS and wire.first_string(message) == self.name:
                yield kind, wire.parameter_status(self.name, self.value)
                continue
            yield kind, self._row(message) if kind == wire.DATA_ROW else message
            self._completed += kind == wire.COMMAND_COMPLETE

    def _row(self, row: bytes) -> bytes:
        """The row, with the other value in each column that is the setting's alone."""
        statements = self.sql.split(";")
        names = _ASKED.findall(statements[min(self._completed, len(statements) - 1)])
        values = wire.row_values(row)
        if self.name not in names or len(names) != len(values):
            return row
        other = self.value.encode()
        columns = zip(names, values, strict=True)
        return wire.data_row([other if name == self.name else value for name, value in columns])
