"""Statements about the session and its transactions, told apart by their first words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from pgweave.sql.tokens import Token, TokenKind, words


class StatementKind(Enum):
    """What a statement is to the transaction.

    Attributes:
        QUERY: it reads or writes tables.
        BEGIN: it begins a transaction.
        COMMIT: it ends one, well or badly.
        ROLLBACK: it ends one badly.
        ROLLBACK_TO: it undoes part of one.
        SAVEPOINT: it marks a point of one, or forgets the mark.
        SESSION: it shows or sets something that decides neither what a statement does nor what it answers.
        OTHER: anything else.
    """

    QUERY = auto()
    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    ROLLBACK_TO = auto()
    SAVEPOINT = auto()
    SESSION = auto()
    OTHER = auto()


class Scope(Enum):
    """How long what a statement did stays in force."""

    TRANSACTION = auto()
    SESSION = auto()


@dataclass(frozen=True, slots=True)
class Control:
    """A statement about the session or its transactions.

    Attributes:
        kind: what it is.
        isolation: the isolation level that it sets, if it does.
        scope: how long that level, or what is not understood, stays in force.
        frees_locks: whether it gives back the advisory locks that the session holds.
    """

    kind: StatementKind
    isolation: str | None = None
    scope: Scope | None = None
    frees_locks: bool = False


# Settings that decide how long a session waits, how it plans or how it prints. The search path is one,
# because names are only understood where all schemas together leave no choice; the role, because every role
# that may run a statement sees the same (tables with row security are not understood).
_HARMLESS_SETTINGS = words(
    """
    application_name bytea_output client_min_messages datestyle deadlock_timeout
    default_transaction_deferrable default_transaction_read_only enable_bitmapscan enable_hashjoin
    enable_indexonlyscan enable_indexscan enable_mergejoin enable_nestloop enable_seqscan enable_sort
    exit_on_error extra_float_digits idle_in_transaction_session_timeout idle_session_timeout
    intervalstyle jit
    lock_timeout plan_cache_mode random_page_cost role search_path session statement_timeout
    synchronous_commit time timezone transaction_timeout work_mem
    """
)
# Settings that are harmless with one value.
_HARMLESS_VALUES = {
    "client_encoding": {"utf8", "utf-8", "unicode"},
    "names": {"utf8", "utf-8", "unicode"},
    "standard_conforming_strings": {"on", "true"},
}
_KINDS = {
    **dict.fromkeys(
        ("select", "insert", "update", "delete", "with", "values", "table", "("), StatementKind.QUERY
    ),
    **dict.fromkeys(("begin", "start"), StatementKind.BEGIN),
    **dict.fromkeys(("commit", "end"), StatementKind.COMMIT),
    **dict.fromkeys(("rollback", "abort"), StatementKind.ROLLBACK),
    **dict.fromkeys(("savepoint", "release"), StatementKind.SAVEPOINT),
    **dict.fromkeys(("show", "deallocate", "discard", "close", "unlisten"), StatementKind.SESSION),
}
_FREE_LOCKS = {
    ("discard", "all"),
    ("select", "pg_advisory_unlock_all", "(", ")"),
    ("select", "pg_catalog", ".", "pg_advisory_unlock_all", "(", ")"),
}
_LEVELS = "transaction_isolation", "default_transaction_isolation"
_UNKNOWN_SETTING = "a setting that is not known"
_LASTING = words("alter call comment create do drop grant import prepare reassign revoke")


def classify(tokens: Sequence[Token]) -> Control:
    """What one statement, not empty, is to the session and its transaction."""
    verb, *rest = (token.text.lower() for token in tokens)
    kind = _KINDS.get(verb, StatementKind.OTHER)
    if kind is StatementKind.BEGIN:
        return Control(kind, _isolation(rest), Scope.TRANSACTION)
    if kind in (StatementKind.COMMIT, StatementKind.ROLLBACK):
        return _end(kind, rest)
    if verb in ("set", "reset"):
        return _set(rest)
    if (verb, *rest) in _FREE_LOCKS:
        return Control(StatementKind.SESSION, frees_locks=True)
    if kind is StatementKind.QUERY and (set_by_call := _set_by_call(kind, tokens)):
        return set_by_call
    return Control(kind, scope=Scope.SESSION if verb in _LASTING else None)


def _set_by_call(kind: StatementKind, tokens: Sequence[Token]) -> Control | None:
    """What a call of ``set_config`` may set for what follows, as SET does; nothing if that is harmless."""
    for place, token in enumerate(tokens):
        if token.name != "set_config":
            continue
        arguments = tokens[place + 2 : place + 7]
        name, value = setting_of_call(arguments)
        is_local = len(arguments) == 5 and arguments[4].is_word("true")
        # A name with a dot is an extension's or the application's own.
        is_known_harmless = name is not None and (is_harmless(name, value) or "." in name)
        if is_known_harmless or (name in _LEVELS and is_local):
            continue  # a level is over with the transaction that the call stands in, and began
        level = value if name in _LEVELS and value is not None else _UNKNOWN_SETTING
        return Control(kind, level, Scope.TRANSACTION if is_local else Scope.SESSION)
    return None


def setting_of_call(arguments: Sequence[Token]) -> tuple[str | None, str | None]:
    """The setting and the value that a call of ``set_config`` has as texts, in lower case."""
    name, value = (*map(_text, arguments[:3:2]), None, None)[:2]
    return name, value


def _text(token: Token) -> str | None:
    """What a string says, in lower case; nothing if the token is none."""
    return token.text.lower() if token.kind is TokenKind.STRING and token.exact else None


def is_harmless(name: str, value: str | None) -> bool:
    """Whether a setting decides nothing, whatever its value, or with this one."""
    return name in _HARMLESS_SETTINGS or value in _HARMLESS_VALUES.get(name, ())


def _end(kind: StatementKind, rest: Sequence[str]) -> Control:
    left = [word for word in rest if word not in ("work", "transaction")]
    if kind is StatementKind.ROLLBACK and left[:1] == ["to"]:
        return Control(StatementKind.ROLLBACK_TO)
    if left and left != ["and", "no", "chain"]:
        return Control(StatementKind.OTHER, scope=Scope.SESSION)
    return Control(kind)


def _set(rest: Sequence[str]) -> Control:
    match rest:
        case ["constraints", *_] | ["transaction", "snapshot", *_]:
            return Control(StatementKind.OTHER, scope=Scope.TRANSACTION)
        case ["transaction", *modes]:
            return Control(StatementKind.SESSION, _isolation(modes), Scope.TRANSACTION)
        case ["session", "characteristics", "as", "transaction", *modes]:
            return Control(StatementKind.SESSION, _isolation(modes), Scope.SESSION)
        case ["session" | "local", first, *others] if first not in ("authorization", ".", "=", "to"):
            return _set([first, *others])
    return _setting(rest)


def _setting(rest: Sequence[str]) -> Control:
    name, *others = rest or ["nothing"]
    value = " ".join(word for word in others if word not in ("=", "to"))
    if name in _LEVELS and value not in ("", "default"):
        scope = Scope.TRANSACTION if name == "transaction_isolation" else Scope.SESSION
        return Control(StatementKind.SESSION, value, scope)
    # A name with a dot is an extension's or the application's own.
    if is_harmless(name, value) or value in ("", "default") or others[:1] == ["."]:
        return Control(StatementKind.SESSION)
    return Control(StatementKind.OTHER, scope=Scope.SESSION)


def _isolation(modes: Sequence[str]) -> str | None:
    if "level" not in modes:
        return None
    place = modes.index("level")
    level = modes[place + 1 : place + 3]
    return level[0] if level[:1] == ["serializable"] else " ".join(level)
