"""What one statement touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pgweave.gate.wire import Bound
from pgweave.interleavings.footprint import Access, Footprint, Lock, Mode, Rows
from pgweave.sql.advisory import advisory_lock
from pgweave.sql.catalog import Catalog
from pgweave.sql.control import Control, StatementKind, classify
from pgweave.sql.functions import Effects
from pgweave.sql.housekeeping import NO_CATALOG, is_housekeeping
from pgweave.sql.plan import LockPlan, NotUnderstoodError, StatementPlan
from pgweave.sql.queries import Analysis
from pgweave.sql.tokens import ScanError, Token, scan, statements
from pgweave.sql.values import may_name_present
from pgweave.sql.writes import plan_statement

CLOCK = Rows("clock")
"""The clock: whoever moves it publishes it."""

READ_CLOCK = Access(Mode.READ, CLOCK)
"""Having asked what time it is."""

_READ_SYSTEM = Access(Mode.READ, Rows("system catalogs"))
_NONE: frozenset[Access] = frozenset()
_NO_ROWS: frozenset[Rows] = frozenset()


@dataclass(frozen=True, slots=True)
class StatementFootprint:
    """What one statement touches, in whatever transaction.

    Attributes:
        controls: what it is to its session and transaction, one for each statement of a text of several.
        accesses: what it does at once: it reads, and draws from sequences.
        locks: what it locks until its transaction ends.
        writes: the rows that the commit makes visible.
        at_end: what the end of the transaction does because of it, if that is a commit.
        uses_transaction_start: whether it tells the time at which its transaction began: then ``BEGIN`` read
            the clock.
        explain: why it was not understood and may do anything; empty if it was.
        at_once: all that it does at once and locks.
    """

    controls: tuple[Control, ...] = ()
    accesses: frozenset[Access] = _NONE
    locks: frozenset[Access] = _NONE
    writes: frozenset[Rows] = _NO_ROWS
    at_end: frozenset[Access] = _NONE
    uses_transaction_start: bool = False
    explain: str = ""
    at_once: Footprint = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at_once", Footprint(self.accesses | self.locks))

    @property
    def everything(self) -> bool:
        """Whether it may do anything."""
        return bool(self.explain)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement, analysed; without a plan it is the same for all values."""

    fixed: StatementFootprint
    plan: StatementPlan | None = None


def statement_footprint(sql: str, values: Sequence[Bound], catalog: Catalog) -> StatementFootprint:
    """What a statement touches when it is executed with these values.

    The analysis of a text is kept, and so is its outcome for the values that were seen last: a statement
    costs milliseconds the first time, and microseconds after that.

    Args:
        sql: the text, its parameters ``$1``, ``$2`` ...
        values: the values of the parameters, in their order.
        catalog: of the database that it is for.
    """
    compiled = _compile(sql, catalog)
    if compiled.plan is None:
        return compiled.fixed
    return _filled(sql, tuple(values), catalog)


@lru_cache(maxsize=4096)
def is_scheduling_point(sql: str, catalog: Catalog = NO_CATALOG) -> bool:
    """Whether a statement is worth holding back: not an empty one, nor housekeeping.

    Args:
        sql: the text.
        catalog: of the database that it is for: a function there may have the name of one of the system's.
    """
    try:
        parts = statements(scan(sql))
    except ScanError:
        return True
    return not all(is_housekeeping(part, catalog) for part in parts)


@lru_cache(maxsize=4096)
def _compile(sql: str, catalog: Catalog) -> _Compiled:
    try:
        parts = statements(scan(sql))
    except ScanError as error:
        return _Compiled(
            StatementFootprint((Control(StatementKind.OTHER),), explain=f"it is not understood: {error}")
        )
    controls = tuple(classify(part) for part in parts)
    try:
        plan = _plan(parts, controls, catalog)
    except NotUnderstoodError as error:
        is_fixed = all(is_housekeeping(part, catalog) for part in parts)
        return _Compiled(StatementFootprint(controls, explain="" if is_fixed else str(error)))
    except Exception as error:  # noqa: BLE001 - a tree of another shape than expected: nothing is known then
        return _Compiled(StatementFootprint(controls, explain=f"its analysis failed: {error!r}"))
    return _Compiled(StatementFootprint(controls), plan)


def _plan(
    parts: Sequence[Sequence[Token]], controls: Sequence[Control], catalog: Catalog
) -> StatementPlan | None:
    if all(control.kind is StatementKind.SESSION for control in controls):
        return None
    if len(parts) > 1:
        raise NotUnderstoodError("it is several statements in one text")
    if controls[0].kind is StatementKind.OTHER:
        raise NotUnderstoodError(f"{parts[0][0].text.upper()} is not supported")
    if controls[0].kind is not StatementKind.QUERY:
        return None
    analysis = Analysis(parts[0], catalog)
    plan = plan_statement(analysis)
    if plan.end_effects.advisory or (plan.effects.advisory and (plan.reads or plan.locks or plan.writes)):
        raise NotUnderstoodError("it takes advisory locks and touches rows, in whatever order")
    if plan.effects.advisory:
        plan.locks.append(advisory_lock(analysis))
    return plan


@lru_cache(maxsize=4096)
def _filled(sql: str, values: tuple[Bound, ...], catalog: Catalog) -> StatementFootprint:
    compiled = _compile(sql, catalog)
    plan = compiled.plan
    assert plan is not None
    accesses = {Access(Mode.READ, rows.fill(values)) for rows in plan.reads}
    accesses |= {Access(Mode.LOCK, Rows(sequence), Lock.UPDATE) for sequence in plan.draws}
    locks = _locks(plan.locks, values)
    writes = frozenset(rows.fill(values) for rows in plan.writes)
    if not locks:
        # A write always keeps away whoever changes the table itself, so it is never a step that does nothing.
        locks = frozenset(Access(Mode.LOCK, Rows(f"table {rows.table}"), Lock.KEY_SHARE) for rows in writes)
    at_end = {Access(Mode.READ, rows.fill(values)) for rows in plan.end_reads}
    starts = plan.effects.transaction_start or plan.end_effects.transaction_start
    return StatementFootprint(
        compiled.fixed.controls,
        frozenset(accesses | _functions(plan.effects)),
        locks,
        writes,
        frozenset(at_end | _locks(plan.end_locks, values) | _functions(plan.end_effects)),
        uses_transaction_start=starts or may_name_present(values),
    )


def _locks(plans: Sequence[LockPlan], values: Sequence[Bound]) -> frozenset[Access]:
    return frozenset(access for plan in plans if (access := plan.fill(values)))


def _functions(effects: Effects) -> set[Access]:
    found = set()
    if effects.clock:
        found.add(READ_CLOCK)
    if effects.system:
        found.add(_READ_SYSTEM)
    return found


def alone(statement: StatementFootprint) -> Footprint:
    """A statement that is a transaction of its own."""
    accesses = statement.accesses | statement.locks | statement.at_end
    accesses |= {Access(Mode.PUBLISH, rows) for rows in statement.writes}
    accesses |= set(releases(statement.locks))
    if statement.uses_transaction_start:
        accesses |= {READ_CLOCK}
    return Footprint(accesses)


def releases(locks: Iterable[Access]) -> Iterable[Access]:
    """The accesses that give locks back."""
    return (Access(Mode.RELEASE, access.rows, access.lock) for access in locks)
