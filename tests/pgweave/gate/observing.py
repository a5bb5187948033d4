"""An observer of a gate that writes down what it sees and lets go what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pgweave.gate import HeldStatement, Session, Unit


@dataclass
class Watcher:
    """Holds every statement; releases those for which ``lets_go`` says so at once.

    Attributes:
        holds_prepared: whether it holds what is prepared apart, too.
    """

    lets_go: Callable[[HeldStatement], bool] = lambda _statement: True
    holds_prepared: bool = False
    seen: list[str] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    ended_sessions: list[Session] = field(default_factory=list)
    holding: asyncio.Queue[HeldStatement] = field(default_factory=asyncio.Queue)

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def decide_to_hold_other(self, session: Session, unit: Unit) -> bool:
        may_be_executed = session.block.is_open or not unit.with_sync
        return self.holds_prepared and unit.sql is None and unit.prepares is not None and may_be_executed

    def held(self, statement: HeldStatement) -> None:
        self.seen.append(" ".join(statement.sql.split()))
        if self.lets_go(statement):
            asyncio.get_running_loop().call_soon(statement.release)
        else:
            self.holding.put_nowait(statement)

    def answered(self, statement: HeldStatement) -> None:
        result = statement.tag if statement.error is None else statement.error["C"]
        self.answers.append((" ".join(statement.sql.split()), result))

    def ended(self, session: Session) -> None:
        self.ended_sessions.append(session)

    async def next_held(self) -> HeldStatement:
        return await asyncio.wait_for(self.holding.get(), 10)
