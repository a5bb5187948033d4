"""What the next statement of a connection does, in the transaction that the connection is in."""

from __future__ import annotations

from collections.abc import Sequence

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import EVERYTHING, NOTHING, Footprint
from pgweave.sql.catalog import Catalog
from pgweave.sql.control import Control, Scope, StatementKind
from pgweave.sql.footprints import CLOCK, READ_CLOCK, StatementFootprint, alone, releases, statement_footprint
from pgweave.sql.snapshots import READ, TAKE_SNAPSHOT, WRITE_OR_END, Level
from pgweave.sql.values import SentNames
from pgweave.sql.work import Work, changes, kind_of


class TransactionFootprint:
    """A connection, as far as it decides what statements touch.

    Ask `pending` before a statement runs, and tell `executed` when it has. The end of a transaction of which
    a statement was not understood may do anything. A connection that is lost does what ``end(commit=False)``
    says.

    Outside a transaction block, what comes before one Sync is a transaction that no ``BEGIN`` began, an
    implicit one. The Sync commits it, a ``BEGIN`` makes a block of it, and an error ends it at once.

    Args:
        catalog: of the database.
        isolation: the isolation level that the connection begins with; the database's own if not given.
        names: for values, as they are sent or written, those that footprints have in their place.

    Attributes:
        in_transaction: whether a transaction is open: a block, or an implicit one.
        is_implicit: whether it is one that the next Sync commits.
        failed: whether a statement of it failed, so that it can only be rolled back.
        start_read_clock: whether a statement of it has told when it began. That is only known when one does;
            then the step of its ``BEGIN`` has read the clock (`READ_CLOCK`).
    """

    def __init__(self, catalog: Catalog, isolation: str = "", names: SentNames | None = None) -> None:
        self._catalog = catalog
        self._names = names
        self._session = Level()
        self._session.add(isolation or catalog.isolation)
        self._holds_advisory_locks = False
        self._asked: tuple[str, Sequence[Bound], StatementFootprint] | None = None
        self._start(in_transaction=False)

    def _start(self, *, in_transaction: bool, is_implicit: bool = False, read_clock: bool = False) -> None:
        self.in_transaction = in_transaction
        self.is_implicit = is_implicit
        self.failed = False
        self.start_read_clock = read_clock
        self._has_savepoints = False
        self._level = Level(self._session.has_snapshot)
        self._work = Work()
        self._ends: dict[bool, Footprint] = {}

    def explain(self, sql: str) -> str:
        """Why a statement may do anything now; empty if it is understood."""
        statement = statement_footprint(sql, (), self._catalog)
        if kind_of(statement) in (StatementKind.COMMIT, StatementKind.ROLLBACK) and self.in_transaction:
            return self._any_problem
        return self._session.problem or self._level.problem or statement.explain

    def pending(self, sql: str, values: Sequence[Bound] = (), *, with_sync: bool = True) -> Footprint:
        """What a statement would touch now, if it does not fail.

        Args:
            sql: the statement.
            values: its values.
            with_sync: whether a Sync follows it at once: that commits it, unless a transaction block is open.
        """
        return self._footprint(self._with_known_values(sql, values), with_sync=with_sync)

    def executed(
        self,
        sql: str,
        values: Sequence[Bound] = (),
        *,
        failed: bool = False,
        refused: bool = False,
        with_sync: bool = True,
    ) -> Footprint:
        """Note that a statement has run, and return what it touched.

        That is what `pending` says, but for failures: PostgreSQL gives the locks of a transaction back when a
        statement of it fails, not when it is rolled back.

        Args:
            sql: the statement.
            values: its values.
            failed: whether it failed.
            refused: whether it failed because another was executed in its place, so that it touched nothing.
            with_sync: whether a Sync follows it at once.
        """
        footprint = self.pending(sql, values, with_sync=with_sync)
        statement = self._statement(sql, values)
        if not with_sync and not self.in_transaction:
            self.begin(is_implicit=True)
        if failed:
            return self._fail(statement, self._released() if refused else footprint, refused=refused)
        self._holds_advisory_locks |= statement.everything and "advisory" in sql.lower()
        for control in statement.controls:
            self._follow(control, statement)
        if with_sync and self.is_implicit:
            self._start(in_transaction=False, read_clock=self.start_read_clock)
        return footprint

    def takes_snapshot(self, sql: str) -> bool:
        """Whether a transaction's snapshot is taken if a statement is prepared now, before it is executed."""
        return self._has_snapshot and not (self._work.has_queried or self.failed) and self.is_query(sql)

    def is_query(self, sql: str) -> bool:
        """Whether a statement reads or writes tables."""
        return kind_of(self._statement(sql, ())) is StatementKind.QUERY

    def can_conflict(self, sql: str, values: Sequence[Bound] = ()) -> bool:
        """Whether a statement may end with 40001 or 40P01: it, or its transaction, holds or waits for locks.

        What only begins or undoes a transaction cannot, nor can a lone read after a COMMIT.
        """
        statement = self._statement(sql, values)
        problem = self._any_problem
        held = self.in_transaction and bool(problem or self._work.locks)
        match kind_of(statement):
            case _ if self.failed:
                return False
            case StatementKind.COMMIT:
                return held
            case StatementKind.QUERY | StatementKind.OTHER:
                return held or bool(problem or statement.explain or statement.locks or statement.at_end)
        return False

    def broken(
        self, sql: str, values: Sequence[Bound] = (), *, executed: bool, with_sync: bool = True
    ) -> Footprint:
        """What a statement touches that is lost with its transaction: every lock goes.

        Args:
            sql: the statement.
            values: its values.
            executed: whether the server executes it. If not, it touches nothing itself.
            with_sync: whether a Sync follows it at once.
        """
        if not executed:
            return EVERYTHING if self._holds_advisory_locks else self._released()
        statement = self._with_known_values(sql, values)
        freed = Footprint(frozenset(releases(statement.locks)))
        return self._footprint(statement, with_sync=with_sync) | self._released() | freed

    def is_commit(self, sql: str) -> bool:
        """Whether a statement ends the open transaction well: one that fails there is over."""
        return self.in_transaction and kind_of(self._statement(sql, ())) is StatementKind.COMMIT

    def begin(self, *, is_implicit: bool = False) -> None:
        """Begin a transaction: at ``BEGIN``, or at the first statement that comes without a Sync."""
        self._start(in_transaction=True, is_implicit=is_implicit)

    def add(self, statement: StatementFootprint) -> None:
        """Add a statement to the transaction."""
        self._ends.clear()
        self._work.add(statement)
        self.start_read_clock = self.start_read_clock or statement.uses_transaction_start

    def end(self, *, commit: bool) -> Footprint:
        """End the transaction, and return what that touches. A failed transaction is rolled back."""
        footprint = self._end_footprint(commit=commit)
        self._start(in_transaction=False)
        return footprint

    def pending_commit(self) -> Footprint:
        """What a COMMIT would touch now."""
        return self._end_footprint(commit=True)

    def _with_known_values(self, sql: str, values: Sequence[Bound]) -> StatementFootprint:
        """A statement with its values, if they are known whether or not it is prepared apart."""
        return self._statement(sql, () if self.takes_snapshot(sql) else values)

    def _statement(self, sql: str, values: Sequence[Bound]) -> StatementFootprint:
        # A statement is asked about before it is let go, when it is, and when it has ended.
        if self._asked is not None and self._asked[1] is values and self._asked[0] == sql:
            return self._asked[2]
        found = self._worked_out(sql, values)
        self._asked = (sql, values, found)
        return found

    def _worked_out(self, sql: str, values: Sequence[Bound]) -> StatementFootprint:
        if self._names is not None:
            sql = self._names.in_text(sql)
            values = [self._names.in_value(value) for value in values]
        return statement_footprint(sql, values, self._catalog)

    def _footprint(self, statement: StatementFootprint, *, with_sync: bool) -> Footprint:
        if self._holds_advisory_locks and any(control.frees_locks for control in statement.controls):
            return EVERYTHING
        commits = with_sync and (self.is_implicit or not self.in_transaction)
        match kind_of(statement):
            case StatementKind.COMMIT | StatementKind.ROLLBACK as kind:
                return self._end_footprint(commit=kind is StatementKind.COMMIT)
            case StatementKind.ROLLBACK_TO:
                return self._released()
            case StatementKind.BEGIN:
                return NOTHING
            case StatementKind.SESSION | StatementKind.SAVEPOINT:
                return self._end_footprint(commit=True) if commits else NOTHING
        return self._work_footprint(statement, commits=commits)

    def _work_footprint(self, statement: StatementFootprint, *, commits: bool) -> Footprint:
        if self.failed and len(statement.controls) == 1:
            return NOTHING  # PostgreSQL refuses it
        if statement.explain or self._session.problem or self._level.problem:
            return EVERYTHING
        if commits:
            touched = alone(statement) | self._end_footprint(commit=True)
            return touched | self._taken | WRITE_OR_END if self._has_snapshot else touched
        touched = statement.at_once
        if not self.in_transaction and statement.uses_transaction_start:
            touched |= Footprint.of(READ_CLOCK)
        return touched | self._among_snapshots(statement) if self._has_snapshot else touched

    @property
    def _has_snapshot(self) -> bool:
        return (self._level if self.in_transaction else self._session).has_snapshot

    @property
    def _taken(self) -> Footprint:
        return NOTHING if self._work.has_queried else TAKE_SNAPSHOT

    def _among_snapshots(self, statement: StatementFootprint) -> Footprint:
        """What a statement touches besides its rows in a transaction whose statements see one snapshot."""
        if self._work.changes or changes(statement) or self._work.problem:
            return self._taken | WRITE_OR_END
        reads_rows = any(access.rows != CLOCK for access in statement.accesses)
        return self._taken | READ if reads_rows else self._taken

    def _end_footprint(self, *, commit: bool) -> Footprint:
        if not self.in_transaction:
            return NOTHING
        commit = commit and not self.failed
        found = self._ends.get(commit)
        if found is None:
            found = self._ends[commit] = self._work_out_end(commit=commit)
        return found

    def _work_out_end(self, *, commit: bool) -> Footprint:
        is_over = self.failed and not self._has_savepoints
        if self._has_snapshot and (is_over or not self._work.has_queried) and not self._any_problem:
            return NOTHING
        return self._released() | self._work.published() if commit else self._released()

    def _released(self) -> Footprint:
        """Every lock given back: also right where only some are."""
        if self._any_problem:
            return EVERYTHING
        released = self._work.released()
        return released | WRITE_OR_END if self._has_snapshot else released

    @property
    def _any_problem(self) -> str:
        return self._session.problem or self._level.problem or self._work.problem

    def _follow(self, control: Control, statement: StatementFootprint) -> None:
        match control.kind:
            case StatementKind.BEGIN if not self.in_transaction:
                self.begin()
            case StatementKind.BEGIN:
                self.is_implicit = False
            case StatementKind.COMMIT | StatementKind.ROLLBACK:
                self.end(commit=control.kind is StatementKind.COMMIT)
            case StatementKind.ROLLBACK_TO:
                self.failed = False
            case StatementKind.SAVEPOINT:
                self._has_savepoints = True
            case _ if self.in_transaction and not self.failed:
                self.add(statement)
        problem = statement.explain if control.kind is StatementKind.OTHER else ""
        self._ends.clear()
        if control.scope is Scope.SESSION:
            self._session.add(control.isolation or "", problem)
        elif control.scope is Scope.TRANSACTION and self.in_transaction:
            self._level.add(control.isolation or "", problem)

    def _fail(self, statement: StatementFootprint, footprint: Footprint, *, refused: bool) -> Footprint:
        if len(statement.controls) > 1:
            self._session.problem = self._session.problem or "a text of several statements failed on the way"
        elif kind_of(statement) in (StatementKind.COMMIT, StatementKind.ROLLBACK):
            self._start(in_transaction=False)
        elif self.in_transaction and not self.failed:
            if not refused:
                self.add(statement)
            self.failed = True
            footprint |= self._released()
            if not self._has_savepoints:
                self._work.undo()
        if self.is_implicit:
            footprint |= self._released()
            self._start(in_transaction=False)
        self._ends.clear()
        return footprint
