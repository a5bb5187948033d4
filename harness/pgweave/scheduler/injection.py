"""Statements let go, or hurt by the fault that is planned for them."""

from __future__ import annotations

from pgweave.gate import Fault, HeldStatement
from pgweave.scheduler.conditions import Conditions
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.footprints import StepFootprints
from pgweave.scheduler.process import Process


class Injection:
    """Injects the faults of one run.

    Attributes:
        injected: how many faults were injected.
        passed_over: how many statements were not hurt because PostgreSQL does not do it there.
    """

    def __init__(
        self, conditions: Conditions, footprints: StepFootprints, database: GatedDatabase | None
    ) -> None:
        self.injected = 0
        self.passed_over = 0
        self._faults = conditions.faults
        self._footprints = footprints
        self._database = database

    async def send(self, process: Process, statement: HeldStatement) -> Fault | None:
        """Let a process's statement go, or put the fault in its place that is planned for it; that fault."""
        planned = (process.index, process.statements) in self._faults
        fault = self._footprints.fault_at(statement)
        process.statements += 1
        if fault is None:
            self.passed_over += planned
            statement.release()
            return None
        self.injected += 1
        before = self._footprints.before_refusal(statement)
        process.footprint |= self._footprints.broken(statement, fault)
        if fault is Fault.TERMINATED:
            assert self._database is not None
            await self._database.monitor.terminate(statement.session.pid)
        if not statement.session.closed:
            statement.release(fault, before)
        return fault
