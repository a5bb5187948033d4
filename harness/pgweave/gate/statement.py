"""A statement that waits at the gate, and what the server answered to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgweave.gate.faults import Fault
from pgweave.gate.units import Unit
from pgweave.gate.wire import Bound

if TYPE_CHECKING:
    from pgweave.gate.session import Session

COMMIT = "COMMIT"
"""What a Sync is called that commits and comes apart from the statements before it."""


@dataclass(eq=False, slots=True)
class HeldStatement:
    """A statement at the gate.

    Attributes:
        session: the connection that it came on.
        sql: its text.
        values: the values bound to its parameters.
        tag: how the server summed it up (``UPDATE 1``), once it has answered.
        rows: stands for the rows that it answered: other rows have another number.
        error: the fields of the server's error, if that was the answer.
        answered: whether its answer has arrived.
        fault: what went wrong with it on purpose, if anything did.
        prepares: whether it is prepared, or bound, apart, and nothing else of it has come yet: its execution
            follows when that has been answered, and belongs to the same step.
        at_execution: what goes wrong then, and what the server executes before it.
    """

    session: Session
    sql: str
    values: tuple[Bound, ...]
    unit: Unit
    tag: str = ""
    rows: int = 0
    error: Mapping[str, str] | None = None
    answered: bool = False
    fault: Fault | None = None
    prepares: bool = False
    at_execution: tuple[Fault | None, str] = (None, "")

    @classmethod
    def of(cls, session: Session, unit: Unit) -> HeldStatement:
        """What a unit executes, or prepares; a Sync that commits is a COMMIT."""
        may_be_executed = session.block.is_open or not unit.with_sync
        prepares = unit.prepares if unit.sql is None and may_be_executed else None
        sql = unit.sql if unit.sql is not None else prepares or COMMIT
        return cls(session, sql, unit.values, unit, prepares=prepares is not None)

    def release(self, fault: Fault | None = None, before: str = "") -> None:
        """Let it go to the server, or to the fault that befalls it, see `Session.release`."""
        self.fault = fault
        self.session.release(self, fault, before)
