"""A held statement on its way to the server, or to the fault that befalls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgweave.gate.faults import Fault, Refusal, refused
from pgweave.gate.statement import HeldStatement
from pgweave.gate.units import Unit

if TYPE_CHECKING:
    from pgweave.gate.session import Session

_AT_ONCE = (Fault.CUT_BEFORE, Fault.HALF_SENT, Fault.TERMINATED, Fault.TOO_MANY_CONNECTIONS)
"""Faults that strike a statement as it is prepared apart; the others strike its execution."""


def strike(session: Session, statement: HeldStatement, fault: Fault | None, before: str) -> None:
    """Send a statement, or let happen to it what goes wrong, see `Session.release`."""
    if statement.prepares and fault not in _AT_ONCE:
        statement.at_execution, fault = (fault, before), None
    match fault:
        case None:
            session.forward(statement.unit, statement)
        case Fault.CUT_AFTER:
            session.answers.are_lost = True
            session.forward(statement.unit, statement)
        case Fault.COMPLETION_UNKNOWN:
            session.answers.altered = Refusal(fault, completes=True)
            session.forward(statement.unit, statement)
        case Fault.CUT_BEFORE | Fault.TERMINATED:
            session.cut()
        case Fault.HALF_SENT:
            session.send(statement.unit.data[: len(statement.unit.data) // 2])
            session.cut()
        case Fault.TOO_MANY_CONNECTIONS:
            session.gate.refuses_next = True
            session.cut()
        case _:
            unit, session.answers.altered = refused(statement.unit, fault, before)
            session.forward(unit, statement)


def go_on(session: Session, statement: HeldStatement, unit: Unit) -> bool:
    """Let a unit go that executes what was prepared apart, or that executes nothing; whether it has gone."""
    if unit.sql is None and (session.block.is_open or not unit.with_sync):
        binds_another = unit.binds and (statement.unit.binds or unit.prepares != statement.sql)
        if not binds_another:
            statement.unit.binds |= unit.binds
            session.forward(unit, None)
            return True
    if unit.sql != statement.sql:
        session.give_up_prepared()
        return False
    session.prepared = None
    statement.values, statement.unit, statement.prepares = unit.values, unit, False
    strike(session, statement, *statement.at_execution)
    return True
