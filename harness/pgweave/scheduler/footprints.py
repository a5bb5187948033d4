"""What the steps of a run touch: worked out before they are taken, and corrected by what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from pgweave.gate import Fault, HeldStatement, Session, Unit
from pgweave.interleavings.execution import Pending
from pgweave.interleavings.footprint import EVERYTHING, NOTHING, Footprint, Mode, union
from pgweave.scheduler.conditions import Conditions
from pgweave.scheduler.fresh import FreshNames
from pgweave.scheduler.labels import one_line
from pgweave.scheduler.process import Point, Process
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import READ_CLOCK, is_scheduling_point
from pgweave.sql.shapes import shape
from pgweave.sql.transactions import TransactionFootprint
from pgweave.sql.values import SentNames


class StepFootprints:
    """Follows the transactions of a run's connections.

    Args:
        conditions: of the run.
        catalog: the schema; ``None`` where there are no statements.

    Attributes:
        start_was_read: whether a statement has asked when its transaction began.
    """

    def __init__(self, conditions: Conditions, catalog: Catalog | None) -> None:
        self.start_was_read = False
        self._conditions = conditions
        self._catalog = catalog
        self._sent_names = SentNames(conditions.names)
        self._known: dict[HeldStatement | Point, Footprint] = {}
        self._pending: dict[HeldStatement | Point, Pending] = {}
        self._transactions: dict[Session, TransactionFootprint] = {}
        self._fresh = FreshNames(conditions.names, catalog)

    def of(self, parked: HeldStatement | Point) -> Footprint:
        """What a step would touch if it were taken now."""
        known = self._known.get(parked)
        if known is None:
            known = self._known[parked] = self._fresh.renamed(self._of(parked))
        return known

    def pending(self, process: Process, waiting: Sequence[Process]) -> Pending:
        """A process's next step, with what it may complete: waiting steps that it may let go on."""
        found = self.announced(process.parked[0])
        if waiting:
            freed = _given_back(found.footprint)
            waking = [other.footprint for other in waiting if other.footprint.dependent(freed)]
            if waking:
                return replace(found, footprint=union([found.footprint, *waking]))
        return found

    def announced(self, parked: HeldStatement | Point) -> Pending:
        """A step that nobody waits for."""
        found = self._pending.get(parked)
        if found is None:
            found = self._pending[parked] = Pending(self._label(parked), self.of(parked), _shape(parked))
        return found

    def _label(self, parked: HeldStatement | Point) -> str:
        """What a step is, for people; ids have the names that they have in footprints."""
        if isinstance(parked, Point):
            return parked.label
        return one_line(self._sent_names.in_text(parked.sql))

    def is_step(self, session: Session, unit: Unit) -> bool:
        """Whether what is no statement worth a step is one all the same: it takes a snapshot, or commits."""
        transaction = self._transaction(session)
        if unit.with_sync and transaction.is_implicit:
            if transaction.pending_commit().is_empty:
                transaction.end(commit=True)
            return transaction.is_implicit
        if unit.with_sync and not session.block.is_open:
            return False  # its transaction ends with it
        sql = unit.prepares if unit.sql is None else unit.sql
        if sql is None:
            return False
        reads_later = unit.binds and transaction.is_query(sql) and is_scheduling_point(sql, self._catalog)
        return reads_later or transaction.takes_snapshot(sql)

    def executed(self, statement: HeldStatement) -> Footprint:
        """What a statement that was answered has touched, or one that was prepared apart and nothing more."""
        if statement.prepares and statement.error is None:
            return self.of(statement)
        transaction = self._transaction(statement.session)
        refused = statement.fault is not None and statement.fault.is_refusal
        # A Query may leave a transaction open that was begun without a Sync; the server says so.
        failed = statement.error is not None and not (statement.fault and statement.fault.is_carried_out)
        touched = transaction.executed(
            statement.sql,
            statement.values,
            failed=failed,
            refused=refused,
            with_sync=statement.unit.with_sync and not statement.session.block.is_open,
        )
        self.start_was_read |= transaction.start_read_clock
        return self._fresh.renamed(touched)

    def ended(self, session: Session) -> Footprint:
        """What the end of a connection touches: its open transaction is rolled back."""
        transaction = self._transactions.pop(session, None)
        return NOTHING if transaction is None else self._fresh.renamed(transaction.end(commit=False))

    def fault_at(self, statement: HeldStatement) -> Fault | None:
        """What goes wrong at a statement; nothing that does not happen there on PostgreSQL."""
        owner = statement.session.owner
        if not self._conditions.faults or not isinstance(owner, Process):
            return None
        fault = self._conditions.faults.get((owner.index, owner.statements))
        transaction = self._transaction(statement.session)
        if fault is Fault.COMPLETION_UNKNOWN:
            can_be = (
                statement.unit.with_sync and not transaction.failed and transaction.is_commit(statement.sql)
            )
            return fault if can_be else None
        if fault is None or not fault.is_refusal:
            return fault
        if fault.is_conflict and not transaction.can_conflict(statement.sql, statement.values):
            return None
        return None if transaction.failed else fault

    def before_refusal(self, statement: HeldStatement) -> str:
        """What the server does before it refuses a statement: at a COMMIT it rolls back."""
        return "ROLLBACK" if self._transaction(statement.session).is_commit(statement.sql) else ""

    def may_block(self, process: Process, others: Sequence[Process]) -> bool:
        """Whether a lock that a process's statement takes may be held by one of the others."""
        mine = process.footprint
        if mine.everything or mine.is_empty:
            return mine.everything
        return any(
            mine.dependent(self._fresh.renamed(self._transaction(session).pending_commit()))
            for other in others
            if other is not process
            for session in other.owned
            if session in self._transactions
        )

    def broken(self, statement: HeldStatement, fault: Fault) -> Footprint:
        """What a statement touches at which something goes wrong."""
        return self._fresh.renamed(self._broken(statement, fault))

    def _broken(self, statement: HeldStatement, fault: Fault) -> Footprint:
        # Whose connection is refused next, nobody knows.
        if fault is Fault.TOO_MANY_CONNECTIONS:
            return EVERYTHING
        transaction = self._transaction(statement.session)
        with_sync = statement.unit.with_sync
        return transaction.broken(
            statement.sql, statement.values, executed=fault.is_carried_out, with_sync=with_sync
        )

    def _of(self, parked: HeldStatement | Point) -> Footprint:
        if isinstance(parked, Point):
            return parked.footprint.renamed(self._conditions.names)
        fault = self.fault_at(parked)
        transaction = self._transaction(parked.session)
        # What is prepared apart may be executed with a Sync.
        with_sync = parked.unit.with_sync or parked.prepares
        if fault is None:
            footprint = transaction.pending(parked.sql, parked.values, with_sync=with_sync)
        else:
            footprint = self._broken(parked, fault)
        begins = _begins(parked.sql) or not (with_sync or transaction.in_transaction)
        if self._conditions.start_is_read and begins:
            footprint |= Footprint.of(READ_CLOCK)
        return footprint

    def _transaction(self, session: Session) -> TransactionFootprint:
        found = self._transactions.get(session)
        if found is None:
            assert self._catalog is not None
            found = TransactionFootprint(self._catalog, session.block.level, self._sent_names)
            self._transactions[session] = found
        return found


def _shape(parked: HeldStatement | Point) -> str:
    """What of a step is the same in each run."""
    return parked.label if isinstance(parked, Point) else shape(parked.sql)


@lru_cache(maxsize=4096)
def lets_go(footprint: Footprint) -> bool:
    """Whether somebody who waits may go on after a step with this footprint."""
    return footprint.everything or any(
        access.mode in (Mode.RELEASE, Mode.PUBLISH) for access in footprint.accesses
    )


def _given_back(footprint: Footprint) -> Footprint:
    """The part of a footprint for which others may have waited."""
    released = (access for access in footprint.accesses if access.mode is Mode.RELEASE)
    return Footprint(frozenset(released), footprint.everything)


def _begins(sql: str) -> bool:
    return sql.lstrip()[:5].lower() in ("begin", "start")
