"""A setting that the sessions of a gate report with another value."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pgweave.gate import Gate, HeldStatement, Reported, Session
from pgweave.gate.proxy import PassAll


@dataclass
class _Reports(PassAll):
    """Lets everything pass, and has a setting be answered with another value."""

    name: str
    value: str

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        statement.session.answers.altered = Reported(self.name, self.value, statement.sql)
        statement.release()


@asynccontextmanager
async def reported(name: str, value: str, gate: Gate) -> AsyncIterator[None]:
    """Within the block a setting has another value, in each session, from its beginning on."""
    before = gate.observer, gate.alters_first
    gate.observer, gate.alters_first = _Reports(name, value), lambda: Reported(name, value)
    try:
        yield
    finally:
        gate.observer, gate.alters_first = before
