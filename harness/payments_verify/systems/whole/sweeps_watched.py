"""The statements of a service's own sweeper as they pass a gate: counted, and one of them hurt."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

from pgweave.gate import Fault, HeldStatement, Session
from pgweave.gate.proxy import PassAll

FINDS, LOCKS = "capture_expires_at <=", "SKIP LOCKED"


@dataclass
class SweepsWatched(PassAll):
    """Lets everything pass but for one statement of a sweep, and counts what sweeps do.

    Attributes:
        place: which of a batch's statements is hurt; ``None`` for none.
        passes: how many batches of the sweep are committed before.
        fault: what befalls it, or how long it is held, in seconds.
        hurt: the statement, once it was.
        fails: whether each sweep fails as it begins.
        sweeps: how many sweeps have begun; each batch looks for more.
        locked: how many payments each transaction wanted to lock.
    """

    place: int | None = None
    passes: int = 0
    fault: Fault | float = inf
    hurt: HeldStatement | None = None
    fails: bool = False
    sweeps: int = 0
    locked: list[int] = field(default_factory=list)
    _statements: defaultdict[Session, int] = field(default_factory=lambda: defaultdict(int))
    _batches: int = 0
    _has_committed: bool = False

    def hurts(self, place: int, fault: Fault | float, passes: int = 0) -> None:
        """Hurt the statement of the next sweep that comes to it."""
        self.hurt, self.fault, self.passes, self.place = None, fault, passes, place
        self._batches, self._has_committed = 0, False

    def decide_to_hold(self, _session: Session) -> bool:
        """Always."""
        return True

    def held(self, statement: HeldStatement) -> None:
        """Let it go, or hurt it."""
        number = self._numbered(statement)
        if number == 0 and self.fails:
            statement.release(Fault.CANCELLED)
        elif number is None or number != self.place or self._batches < self.passes:
            statement.release()
        else:
            self.place, self.hurt = None, statement
            if isinstance(self.fault, Fault):
                statement.release(self.fault, "ROLLBACK" if statement.sql == "COMMIT" else "")
            elif self.fault < inf:
                asyncio.get_running_loop().call_later(self.fault, let_go, statement)

    def _numbered(self, statement: HeldStatement) -> int | None:
        """Which of a batch's statements it is; ``None`` if it is no sweep's."""
        session = statement.session
        if FINDS in statement.sql:
            self._batches = self._batches + 1 if self._has_committed else 0
            self._has_committed = False
            self.sweeps += 1
            self._statements.clear()
            self.locked.append(0)
            self._statements[session] = 0
        self.locked[-1:] = [each + (LOCKS in statement.sql) for each in self.locked[-1:]]
        number = self._statements.get(session)
        if number is not None:
            self._statements[session] += 1
            self._has_committed |= statement.sql == "COMMIT"
        return number


def let_go(statement: HeldStatement | None) -> None:
    """Let a statement go, if it is held still."""
    if statement is not None and statement.session.held is statement:
        statement.release()
