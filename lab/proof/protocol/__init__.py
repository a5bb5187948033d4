"""The protocol: what any number of requests do to payments, statement by statement, at READ COMMITTED.

A step is one SQL statement, as PostgreSQL carries it out. A client sends one request, again after each
fault, until it is answered. A capture is ``begin, lock, find, clock, (update,) (insert,) commit``, and
decides on what it has read, after the last read. This is the protocol of ``specs/tla/Capture.tla``, and
reads like it. It has more than that: payments are created, a standby may lag behind, and the clock may be
set back.

The parts stand on each other in the order in which one reads them: ``rule``, ``decisions``, ``reads``,
``writes``, ``ends``, ``faults``.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.proof.protocol.faults import Faults
from lab.proof.protocol.states import Action, ProtocolStep

__all__ = ["Action", "Protocol", "ProtocolStep"]


class Protocol(Faults):
    """The steps."""

    def statements(self) -> Mapping[str, Action]:
        """What clients do, by name."""
        return {
            "begin": self.begin,
            "lock": self.lock,
            "find": self.find,
            "clock": self.read_clock,
            "due": self.find_due,
            "update": self.update,
            "insert": self.insert,
            "wake": self.wake,
            "commit": self.commit,
            "rollback": self.rollback,
            "create": self.create,
            "look": self.look,
            "read": self.read,
            "tick": self.tick,
        }

    def faults(self) -> Mapping[str, Action]:
        """What goes wrong, by name."""
        return {
            "cut": self.cut,
            "lose the answer": self.lose_answer,
            "lose the creation's answer": self.lose_creation,
            "give up waiting": self.give_up_waiting,
            "crash": self.crash,
            "fail over": self.fail_over,
        }
