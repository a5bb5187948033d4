"""Whose a statement is that appears on a connection which nobody uses."""

from __future__ import annotations

from collections.abc import Sequence

from pgweave.gate import HeldStatement, Session
from pgweave.scheduler.process import Process, ProcessState


class Owners:
    """Gives connections to processes.

    One process runs at a time, so that such a statement is its, unless others wait inside the service: what
    the running process does may let them go on. Then nobody owns the statement until the running process has
    come to rest otherwise, or nothing else happens.

    Args:
        processes: of the run.

    Attributes:
        running: the process that runs.
        unclaimed: the statements that nobody owns.
        strays: connections that sent statements while no process ran; those were not held.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self.running: Process | None = None
        self.unclaimed: list[HeldStatement] = []
        self.strays: list[str] = []
        self._processes = processes

    def decide_to_hold(self, session: Session) -> bool:
        """Find out whose the next statement is: a process's is held, one that nobody can have sent passes."""
        if isinstance(session.owner, Process) and session.owner in self._processes:
            return True
        if any(process.state is ProcessState.STALLED for process in self._processes):
            session.owner = self
        elif self.running is not None:
            self._give(session, self.running)
        else:
            session.owner = None
            self.strays.append(str(session))
            return False
        return True

    def held(self, statement: HeldStatement) -> None:
        """A statement waits to be released: its process has come to its next step."""
        process = statement.session.owner
        if isinstance(process, Process):
            process.parked.append(statement)
            process.changed()
        else:
            self.unclaimed.append(statement)

    def claim(self, process: Process) -> bool:
        """Give a process the first statement that nobody owns; whether there is one."""
        if not self.unclaimed:
            return False
        statement = self.unclaimed.pop(0)
        self._give(statement.session, process)
        process.parked.append(statement)
        return True

    def forget(self, session: Session) -> None:
        """A connection has closed."""
        self.unclaimed[:] = [each for each in self.unclaimed if each.session is not session]

    @staticmethod
    def _give(session: Session, process: Process) -> None:
        session.owner = process
        process.sessions.add(session)
