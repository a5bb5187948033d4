"""What INSERT, UPDATE and DELETE lock, claim, write and fire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlglot import exp

from pgweave.interleavings.footprint import Lock
from pgweave.sql.catalog import Table
from pgweave.sql.functions import expression_effects
from pgweave.sql.keys import Row, claim_key, plan_check_of_references, reference_lock
from pgweave.sql.plan import NotUnderstoodError, RowsPlan, StatementPlan
from pgweave.sql.queries import Analysis
from pgweave.sql.syntax import name_of
from pgweave.sql.triggers import assigned_columns, fire
from pgweave.sql.values import Term

_NEXTVAL = re.compile(r"nextval\('([^']+)'::regclass\)")


def plan_statement(analysis: Analysis) -> StatementPlan:
    """The whole plan of a statement.

    Raises:
        NotUnderstoodError: It holds something that is not understood.
    """
    # Those of the WITH clause in their order, and the statement itself last: it may use what they return.
    writes = list(analysis.tree.find_all(exp.Insert, exp.Update, exp.Delete, bfs=False))
    for node in sorted(writes, key=lambda node: node is analysis.tree):
        match node:
            case exp.Insert():
                table, known = _Insert(analysis, node).plan()
            case exp.Update():
                table, known = _plan_update(analysis, node)
            case exp.Delete():
                table, known = _plan_delete(analysis, node)
        analysis.returned(node, table, known)
    analysis.read_queries()
    return analysis.plan


class _Insert:
    """An INSERT."""

    def __init__(self, analysis: Analysis, node: exp.Insert) -> None:
        self._analysis = analysis
        self._node = node
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        self._table = _target(analysis, target)
        names = (
            [name_of(column) for column in node.this.expressions]
            if isinstance(node.this, exp.Schema)
            else None
        )
        self._listed = names
        self._altered = assigned_columns(self._table, "INSERT", analysis.catalog)

    def plan(self) -> tuple[Table, Row]:
        """Add it to the plan; returns the values known of every row that it writes, and their table."""
        table, plan = self._table, self._analysis.plan
        rows = list(self._rows())
        for row in rows:
            known = {name: term for name, term in row.items() if name not in self._altered}
            plan.writes.append(RowsPlan.of_table(table, known))
            plan.locks += [claim_key(self._analysis.catalog, table, index, known) for index in table.indexes]
            plan.locks += [reference_lock(self._analysis, foreign, known) for foreign in table.foreign_keys]
            fire(self._analysis.catalog, plan, table, "INSERT", new=known)
            self._plan_conflict(known)
        return table, known if len(rows) == 1 and not self._may_update() else {}

    def _may_update(self) -> bool:
        conflict = self._node.args.get("conflict")
        return conflict is not None and bool(conflict.expressions)

    def _rows(self) -> Iterable[Row]:
        source = self._node.args.get("expression")
        if self._node.args.get("default"):
            return [self._row([])]
        if isinstance(source, exp.Values):
            return [self._row(list(_items(values))) for values in source.expressions]
        if isinstance(source, exp.Select) and not any(item.is_star for item in source.expressions):
            return [self._row(source.expressions)]
        unknown: list[exp.Expr | None] = [None] * len(self._listed or self._table.columns)
        return [self._row(unknown)]

    def _row(self, items: Sequence[exp.Expr | None]) -> Row:
        names = self._listed if self._listed is not None else list(self._table.columns)
        if len(items) > len(names) or not self._table.columns.keys() >= set(names):
            raise NotUnderstoodError("it inserts into columns that are not known")
        row: dict[str, Term | None] = {}
        given = dict(zip(names, items, strict=False))
        for name, column in self._table.columns.items():
            item = given.get(name)
            if name in given and not _is_default(item):
                row[name] = self._analysis.term(item, column.comparison)
            else:
                row[name] = self._default(name)
        return row

    def _default(self, name: str) -> Term | None:
        column, plan = self._table.columns[name], self._analysis.plan
        if column.is_identity:
            plan.draws.append(f"sequence of {self._table.label}.{name}")
            return None
        if column.default is None:
            return Term()
        if drawn := _NEXTVAL.fullmatch(column.default):
            plan.draws.append(f"sequence {drawn.group(1)}")
            return None
        _add_effects(self._analysis, column.default)
        return None

    def _plan_conflict(self, row: Row) -> None:
        """ON CONFLICT DO UPDATE; DO NOTHING does nothing that the claims do not say."""
        conflict = self._node.args.get("conflict")
        if conflict is None or not conflict.expressions:
            return
        arbiter = self._arbiter(conflict)
        changes = _changes(self._analysis, self._table, conflict.expressions)
        _plan_change(self._analysis, self._table, {name: row.get(name) for name in arbiter}, changes)

    def _arbiter(self, conflict: exp.OnConflict) -> tuple[str, ...]:
        """The columns of the conflicting row that have the values of the new one."""
        if name := conflict.args.get("constraint"):
            named = name_of(name)
            return next((index.columns for index in self._table.indexes if index.name == named), ())
        keys = [
            key.this if isinstance(key, exp.Ordered) else key
            for key in conflict.args.get("conflict_keys") or []
        ]
        if all(isinstance(key, (exp.Column, exp.Identifier)) for key in keys):
            return tuple(key.name for key in keys if key.name in self._table.columns)
        return ()


def _plan_update(analysis: Analysis, node: exp.Update) -> tuple[Table, Row]:
    table = _target(analysis, node.this)
    known = _restrict_target(analysis, node, node.args.get("from_"))
    return table, _plan_change(analysis, table, known, _changes(analysis, table, node.expressions))


def _plan_change(analysis: Analysis, table: Table, known: Row, changes: Row) -> Row:
    """Update the rows with the ``known`` values; returns what is known of them after the ``changes``."""
    plan = analysis.plan
    assigned = assigned_columns(table, "UPDATE", analysis.catalog)
    altered = changes.keys() | assigned
    kept = {name: term for name, term in known.items() if name not in altered}
    identity: set[str] = set().union(*(index.columns for index in table.indexes if index.identifies))
    rows = RowsPlan.of_table(table, kept)
    plan.lock(Lock.UPDATE if identity & altered else Lock.NO_KEY_UPDATE, rows)
    plan.writes.append(rows)
    for index in table.indexes:
        changed = bool(index.involved & altered) or not index.columns
        plan.lock(Lock.UPDATE if changed else Lock.KEY_SHARE, RowsPlan.of_index(table, index, kept))
    new = {**kept, **{name: term for name, term in changes.items() if name not in assigned}}
    for foreign in table.foreign_keys:
        if altered & set(foreign.columns):
            plan.locks.append(reference_lock(analysis, foreign, new))
    for foreign in table.referenced_by:
        if altered & set(foreign.referenced_columns):
            plan_check_of_references(analysis, foreign, known)
    fire(analysis.catalog, plan, table, "UPDATE", new=new, old=known, changed=frozenset(altered))
    return new


def _plan_delete(analysis: Analysis, node: exp.Delete) -> tuple[Table, Row]:
    table = _target(analysis, node.this)
    known = _restrict_target(analysis, node, *(node.args.get("using") or []))
    plan = analysis.plan
    rows = RowsPlan.of_table(table, known)
    plan.lock(Lock.UPDATE, rows)
    plan.writes.append(rows)
    for index in table.indexes:
        plan.lock(Lock.UPDATE, RowsPlan.of_index(table, index, known))
    for foreign in table.referenced_by:
        plan_check_of_references(analysis, foreign, known)
    fire(analysis.catalog, plan, table, "DELETE", old=known)
    return table, known


def _restrict_target(analysis: Analysis, node: exp.Update | exp.Delete, *others: object) -> Row:
    """The values that the rows written must have; what is read beside them is added to the plan."""
    sources = analysis.sources(node.this, *others)
    restrictions = analysis.restrict(sources, node.args.get("where"))
    for source in sources[1:]:
        analysis.read(source, restrictions)
    return restrictions[sources[0].alias]


def _target(analysis: Analysis, node: exp.Table) -> Table:
    found = analysis.sources(node)
    if not found:
        raise NotUnderstoodError("it writes to something that is no known table")
    source, table = found[0], found[0].table
    if table.unusual_to_write:
        raise NotUnderstoodError(f"it writes to {table.label}, which {table.unusual_to_write}")
    for expression in table.expressions:
        _add_effects(analysis, expression)
    analysis.mark(source)
    return table


def _changes(analysis: Analysis, table: Table, assignments: Sequence[exp.Expr]) -> Row:
    """The columns that a SET clause sets, and what to."""
    changes: dict[str, Term | None] = {}
    for assignment in assignments:
        if not isinstance(assignment, exp.EQ):
            raise NotUnderstoodError("it sets something that is not understood")
        left, right = assignment.this, assignment.expression
        targets = left.expressions if isinstance(left, (exp.Tuple, exp.Paren)) else [left]
        for target in targets or [left.this]:
            name = target.name if isinstance(target, exp.Column) and not target.table else ""
            if name not in table.columns:
                raise NotUnderstoodError("it sets something that is no known column")
            if _is_default(right) or isinstance(left, exp.Tuple):
                _add_effects(analysis, table.columns[name].default or "")
            single = not isinstance(left, (exp.Tuple, exp.Paren)) and not _is_default(right)
            changes[name] = analysis.term(right, table.columns[name].comparison) if single else None
    return changes


def _items(values: exp.Expr) -> list[exp.Expr]:
    return values.expressions if isinstance(values, exp.Tuple) else [values.this]


def _is_default(node: exp.Expr | None) -> bool:
    """Whether it is the keyword DEFAULT, which is no column unless quoted."""
    if isinstance(node, exp.Column) and not node.table:
        return isinstance(node.this, exp.Identifier) and not node.this.quoted and node.name == "default"
    return isinstance(node, exp.Var) and node.name.lower() == "default"


def _add_effects(analysis: Analysis, expression: str) -> None:
    found = expression_effects(expression, analysis.catalog)
    if found.unknown:
        raise NotUnderstoodError(found.unknown)
    analysis.plan.effects |= found
