"""Which advisory lock a statement takes, where its text says so."""

from __future__ import annotations

from sqlglot import exp

from pgweave.interleavings.footprint import Lock
from pgweave.sql.plan import LockPlan, RowsPlan
from pgweave.sql.queries import Analysis
from pgweave.sql.values import Comparison, Term

_LABEL = "advisory locks"
_TAKING = "pg_advisory_xact_lock", "pg_try_advisory_xact_lock"
_HASHES = "hashtext", "hashtextextended"


def advisory_lock(analysis: Analysis) -> LockPlan:
    """The advisory lock that a statement's transaction holds from now on; of any key, if that is not told.

    The key is told by a statement that does nothing else, and has numbers or hashes of texts for it. Only
    keys that are made in one way are compared: two made in different ways may be one.
    """
    call = _only_call(analysis.tree)
    name = call.name.lower() if call is not None else ""
    if call is None or name.removesuffix("_shared") not in _TAKING:
        return LockPlan(Lock.UPDATE, RowsPlan(_LABEL))
    arguments = call.expressions
    parts = [_part(analysis, each, f"{at} of {len(arguments)}") for at, each in enumerate(arguments, 1)]
    lock = Lock.SHARE if name.endswith("_shared") else Lock.UPDATE
    return LockPlan(lock, RowsPlan(_LABEL, tuple(part for part in parts if part is not None)))


def _only_call(tree: exp.Expr) -> exp.Anonymous | None:
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        return None
    if any(value for part, value in tree.args.items() if part != "expressions"):
        return None
    call = tree.expressions[0].unalias()
    if isinstance(call, exp.Dot):
        call = call.expression
    return call if isinstance(call, exp.Anonymous) else None


def _part(analysis: Analysis, node: exp.Expr, place: str) -> tuple[str, Comparison, Term] | None:
    """A part of a key: how it is made, and of what."""
    if isinstance(node, exp.Anonymous) and node.name.lower() in _HASHES:
        text, *seed = node.expressions
        made = ", ".join([node.name.lower(), *(each.sql() for each in seed)])
        is_told = all(isinstance(each, exp.Literal) for each in seed)
        term = analysis.term(text, Comparison.TEXT) if is_told else None
        return (f"{place}: {made}", Comparison.TEXT, term) if term is not None else None
    term = analysis.term(node, Comparison.INTEGER)
    return (place, Comparison.INTEGER, term) if term is not None else None
