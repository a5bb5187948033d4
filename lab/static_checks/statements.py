"""Rules that the service's statements keep by their shape, whatever is bound to them.

They are the locking protocol of the specification, as far as a statement shows it by itself. What follows
from the order of statements is for the explorer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from sqlglot import exp

from lab.static_checks.findings import Findings
from pgweave.sql.plan import NotUnderstoodError
from pgweave.sql.syntax import conjuncts, parse
from pgweave.sql.tokens import scan

PAYMENTS = "payments"
ATTEMPTS = "capture_attempts"
_CLOCK = "payment_clock"
_OF_THE_TRANSACTION = (
    exp.CurrentTimestamp,
    exp.CurrentDate,
    exp.CurrentTime,
    exp.Localtime,
    exp.Localtimestamp,
)
_OTHER_CLOCKS = {"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"}
_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK)\b(.*)", re.DOTALL)
_EMPTY_BLOCK = "DO 'BEGIN END'"  # loads PL/pgSQL, and touches no row
_RETRIED = {"READ COMMITTED", "SERIALIZABLE"}


@dataclass(frozen=True)
class _Rule:
    says: str
    broken_by: Callable[[exp.Expr], bool]


def check_statements(statements: Mapping[str, str]) -> Findings:
    """Hold statements to the rules.

    Args:
        statements: texts by name, with ``%s`` or ``$1`` for parameters.
    """
    problems: list[str] = []
    trees: dict[str, exp.Expr] = {}
    for name, text in statements.items():
        if text == _EMPTY_BLOCK:
            continue
        control = _CONTROL.fullmatch(text)
        if control is not None:
            problems += [f"{problem}: {name}" for problem in _of_control(control[2])]
            continue
        try:
            trees[name] = parse(scan(_numbered(text)))[0]
        except NotUnderstoodError as error:
            problems.append(f"I10: a statement is not understood: {name}: {error}")
    for name, tree in trees.items():
        problems += [f"{rule.says}: {name}" for rule in _RULES if rule.broken_by(tree)]
    problems += [f"I9: NOWAIT refuses whoever comes second: {name}" for name in _that_never_wait(trees)]
    if not any(_locks_one_payment(tree) for tree in trees.values()):
        problems.append("I1: no statement locks a payment's row for update")
    return Findings(len(statements), problems)


def _numbered(text: str) -> str:
    numbers = count(1)
    return re.sub("%s", lambda _match: f"${next(numbers)}", text)


def _of_control(rest: str) -> Iterator[str]:
    level = re.search(r"ISOLATION LEVEL (.*)", rest)
    if level is not None and level[1].strip() not in _RETRIED:
        yield f"I9: transactions are at {level[1].strip()}, where whoever waited for a lock is refused"


def _locks(tree: exp.Expr) -> list[exp.Lock]:
    return list(tree.find_all(exp.Lock))


def _keeps_the_key_alone(lock: exp.Lock) -> bool:
    """Whether it is KEY SHARE, which waits for nobody who moves payments, and keeps nobody from it."""
    return bool(lock.args.get("key")) and not lock.args.get("update")


def _that_never_wait(trees: Mapping[str, exp.Expr]) -> Iterator[str]:
    """The statements with NOWAIT that there is not without it as well, for whoever is refused."""
    for name, tree in trees.items():
        if any(lock.args.get("wait") is True for lock in _locks(tree)):
            waiting = tree.copy()
            for lock in _locks(waiting):
                lock.set("wait", None)
            if waiting not in trees.values():
                yield name


def _locks_one_payment(tree: exp.Expr) -> bool:
    return any(lock.args.get("update") for lock in _locks(tree)) and _restricts(tree, "payment_id")


def _restricts(tree: exp.Expr, *columns: str) -> bool:
    """Whether each of these columns has to equal something, anywhere in it."""
    equal = {
        side.name
        for where in tree.find_all(exp.Where)
        for condition in conjuncts(where)
        if type(condition) is exp.EQ
        for side in (condition.this, condition.expression)
        if isinstance(side, exp.Column) and not side.name.startswith("$")
    }
    return equal.issuperset(columns)


def _returns_clock(tree: exp.Expr) -> bool:
    selects = [
        select
        for select in tree.find_all(exp.Select)
        if not all(map(_keeps_the_key_alone, select.args.get("locks") or []))
    ]
    return any(_clocks(shown) for select in selects for shown in select.expressions)


def _clocks(tree: exp.Expr) -> bool:
    return any(call.name.lower() == _CLOCK for call in tree.find_all(exp.Anonymous))


def _asks_another_clock(tree: exp.Expr) -> bool:
    calls = {call.name.lower() for call in tree.find_all(exp.Anonymous)}
    return tree.find(*_OF_THE_TRANSACTION) is not None or bool(calls & _OTHER_CLOCKS)


def _tables(tree: exp.Expr) -> set[str]:
    return {table.name for table in tree.find_all(exp.Table)}


def _locks_many_without_order(tree: exp.Expr) -> bool:
    for select in tree.find_all(exp.Select):
        waits = [lock for lock in select.args.get("locks") or [] if lock.args.get("wait") is not False]
        if waits and not _restricts(select, "payment_id") and select.args.get("order") is None:
            return True
    return False


def _rewrites_attempts(tree: exp.Expr) -> bool:
    if isinstance(tree, exp.Update | exp.Delete):
        return isinstance(tree.this, exp.Table) and tree.this.name == ATTEMPTS
    conflict = tree.args.get("conflict") if isinstance(tree, exp.Insert) else None
    return ATTEMPTS in _tables(tree) and conflict is not None and bool(conflict.args.get("expressions"))


def _looks_up_globally(tree: exp.Expr) -> bool:
    if not isinstance(tree, exp.Select) or ATTEMPTS not in _tables(tree):
        return False
    joins = [join for join in tree.find_all(exp.Join) if join.this.name == ATTEMPTS]
    return not all(_names_payment(join) for join in joins) if joins else not _restricts(tree, "payment_id")


def _names_payment(join: exp.Join) -> bool:
    """Whether attempts are joined by their payment: to another table's, or to one that is given."""
    condition = join.args.get("on")
    return condition is not None and any(
        type(each) is exp.EQ and isinstance(each.this, exp.Column) and each.this.name == "payment_id"
        for each in conjuncts(condition)
    )


def _updates_blindly(tree: exp.Expr) -> bool:
    guards = exp.Update, exp.Delete
    return isinstance(tree, guards) and PAYMENTS in _tables(tree) and not _restricts(tree, "payment_id")


_RULES = (
    _Rule(
        "I5: a clock that is not payment_clock() is asked, and of the transaction's or the statement's start",
        _asks_another_clock,
    ),
    _Rule("I5: the statement that locks returns the clock, read before the lock was granted", _returns_clock),
    _Rule(
        "I3: the statement that locks reads attempts too, with the snapshot from before its wait",
        lambda tree: bool(_locks(tree)) and ATTEMPTS in _tables(tree),
    ),
    _Rule(
        "I9: rows that are going to be written are locked in a mode that others share",
        lambda tree: any(
            not lock.args.get("update") and not _keeps_the_key_alone(lock) for lock in _locks(tree)
        ),
    ),
    _Rule("I9: several rows are locked in no order, and waited for", _locks_many_without_order),
    _Rule("I3: a stored attempt is rewritten", _rewrites_attempts),
    _Rule("I3: attempts are looked up without their payment", _looks_up_globally),
    _Rule("I2: payments are written without naming one", _updates_blindly),
)
