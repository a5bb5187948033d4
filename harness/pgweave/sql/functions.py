"""What functions do beyond computing: read a clock, the system's catalogs, or anything else.

Found by name, in the tokens of a text, so that no construct of the language can hide a call. A name stands
for all functions that have it, in any schema and with any arguments. Bodies in SQL and PL/pgSQL are followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pgweave.gate.wire import Bound
from pgweave.sql.catalog import Catalog, Function
from pgweave.sql.tokens import ScanError, Token, TokenKind, scan, with_following, words
from pgweave.sql.values import may_name_present


@dataclass(frozen=True, slots=True)
class Effects:
    """What an expression does beyond computing.

    Attributes:
        clock: whether it reads the clock.
        transaction_start: whether it reads the time at which the transaction began.
        system: whether it reads the system's catalogs.
        advisory: whether it takes an advisory lock that its transaction holds.
        unknown: why it may do anything, if so.
    """

    clock: bool = False
    transaction_start: bool = False
    system: bool = False
    advisory: bool = False
    unknown: str | None = None

    def __or__(self, other: Effects) -> Effects:
        return Effects(
            self.clock or other.clock,
            self.transaction_start or other.transaction_start,
            self.system or other.system,
            self.advisory or other.advisory,
            self.unknown or other.unknown,
        )


PURE = Effects()
_CLOCK = Effects(clock=True)
_START = Effects(transaction_start=True)
_SYSTEM = Effects(system=True)
_ADVISORY = Effects(advisory=True)

_KNOWN = {
    **dict.fromkeys(("clock_timestamp", "statement_timestamp", "timeofday", "uuidv7"), _CLOCK),
    **dict.fromkeys(("now", "transaction_timestamp", "age"), _START),  # age(t) counts from the start of today
    **dict.fromkeys(("pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"), _ADVISORY),
    **dict.fromkeys(("pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared"), _ADVISORY),
}
_MOVERS = frozenset({"advance_us", "change", "flow_us", "set_us"})  # of pgweave.clock
_START_WORDS = frozenset(
    {"current_timestamp", "current_time", "current_date", "localtimestamp", "localtime"},
)
_RANDOM = words(
    """
    random random_normal setseed gen_random_uuid uuidv4 uuid_generate_v4 gen_random_bytes gen_salt
    array_sample array_shuffle current_query
    """
)
_SYSTEM_PREFIXES = ("to_reg", "pg_get_", "has_", "obj_", "col_", "shobj_", "format_type")
_SYSTEM_TYPES = frozenset({"regclass", "regtype", "regproc", "regprocedure", "regrole", "regnamespace"})

# A body with one of these words is not followed: it may touch tables, or change the session.
_COMMANDS = words(
    """
    alter analyze call close cluster comment commit copy create deallocate delete discard do drop execute
    explain fetch from grant import insert into listen load lock merge move notify open perform prepare
    reassign refresh reindex reset revoke rollback savepoint security set truncate unlisten update vacuum
    """
)


def effects(tokens: Sequence[Token], catalog: Catalog) -> Effects:
    """What the functions named in these tokens do."""
    return _effects(tokens, catalog, frozenset()) | _implicit(catalog)


def users_effects(tokens: Sequence[Token], catalog: Catalog) -> Effects:
    """What the users' functions named in these tokens do."""
    result = PURE
    for token in tokens:
        if token.name is not None:
            result |= _users_function(token.name, catalog, frozenset())
    return result


@lru_cache(maxsize=1024)
def expression_effects(expression: str, catalog: Catalog) -> Effects:
    """What the functions named in an expression of the catalog do."""
    return _text_effects(expression, catalog, frozenset())


def is_followed(tokens: Sequence[Token]) -> bool:
    """Whether a body only computes, as far as its own words say."""
    for token, following in with_following(tokens):
        if token.kind is TokenKind.WORD and token.text in _COMMANDS:
            return False
        if token.is_word("table") and following.text != "=":  # RAISE ... USING TABLE = is not TABLE accounts
            return False
    return True


def functions_that_act(catalog: Catalog) -> list[str]:
    """The names of users' functions that do more than compute, but for those that triggers call."""
    fired = {trigger.function for table in catalog.tables.values() for trigger in table.triggers}
    every = [function for named in catalog.functions.values() for function in named]
    called = [each for each in every if (each.schema, each.name) not in fired]
    return sorted({each.name for each in called if not _only_computes(each)})


def _only_computes(function: Function) -> bool:
    if function.source is None:
        return function.language in ("c", "internal")
    try:
        return is_followed(scan(function.source))
    except ScanError:
        return False


@lru_cache(maxsize=64)
def _implicit(catalog: Catalog) -> Effects:
    """What operators, casts and domains may call without being named."""
    result = PURE
    for text in catalog.implicit:
        result |= _text_effects(text, catalog, frozenset())
    return result


def _text_effects(text: str, catalog: Catalog, callers: frozenset[str]) -> Effects:
    try:
        return _effects(scan(text), catalog, callers)
    except ScanError as error:
        return Effects(unknown=str(error))


def _effects(tokens: Sequence[Token], catalog: Catalog, callers: frozenset[str]) -> Effects:
    result = PURE
    for token, following in with_following(tokens):
        if token.kind is TokenKind.STRING:
            if _may_mean_present(token):
                result |= _START
        elif token.name is not None:
            is_call = following.kind is TokenKind.SYMBOL and following.text == "("
            result |= _name_effects(token, catalog, callers, is_call=is_call)
    return result


def _may_mean_present(token: Token) -> bool:
    """Whether a string may be a time such as ``'now'``; with escapes in it, it may be any."""
    escapes = not token.exact and "\\" in token.text
    return escapes or may_name_present([Bound(0, 0, token.text.encode())])


def _name_effects(token: Token, catalog: Catalog, callers: frozenset[str], *, is_call: bool) -> Effects:
    name = token.text
    if token.kind is TokenKind.WORD and name in _START_WORDS:
        return _START
    if name in _SYSTEM_TYPES:
        return _SYSTEM
    # A function of a row may be called as an attribute of it, so users' functions count wherever they are
    # named.
    result = PURE if name == catalog.clock_function else _users_function(name, catalog, callers)
    return result | _system_function(name, catalog) if is_call else result


def _system_function(name: str, catalog: Catalog) -> Effects:
    if name in _KNOWN or name == catalog.clock_function:
        return _CLOCK if name == catalog.clock_function else _KNOWN[name]
    if name in _MOVERS:
        return Effects(unknown=f"it calls {name}, which may move the clock")
    if name in catalog.system_functions and name not in _RANDOM:
        return Effects(unknown=f"it calls {name}")
    if name.startswith(_SYSTEM_PREFIXES) or name.endswith("_is_visible"):
        return _SYSTEM
    return PURE


def _users_function(name: str, catalog: Catalog, callers: frozenset[str]) -> Effects:
    result = PURE
    for function in catalog.functions.get(name, ()):
        result |= _function_effects(function, catalog, callers)
        result |= _text_effects(function.defaults, catalog, callers | {name})
    return result


def _function_effects(function: Function, catalog: Catalog, callers: frozenset[str]) -> Effects:
    name = function.name
    if name in callers:
        return PURE  # what a recursive function does is what it does the first time
    if function.language in ("c", "internal") and function.is_plain:
        harmless = function.volatility == "i" or name in _RANDOM
        return (
            PURE if harmless else Effects(unknown=f"it calls {name}, which is written in {function.language}")
        )
    if function.source is None or not function.is_plain:
        return Effects(unknown=f"it calls {name}, whose body is not followed")
    try:
        tokens = scan(function.source)
    except ScanError as error:
        return Effects(unknown=f"it calls {name}: {error}")
    if not is_followed(tokens):
        return Effects(unknown=f"it calls {name}, which does more than compute")
    return _effects(tokens, catalog, callers | {name})
