"""Statements that clients send because of their caches and pools rather than because of a request.

Whether they are sent depends on how old a process or a connection is, so that two runs of one schedule differ
in them. They are no steps: they pass at once, as if they belonged to the step before them. So only such count
as neither change nor lock anything that others see: what is not known to be harmless is a step.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from pgweave.sql.catalog import Catalog
from pgweave.sql.control import HARMLESS_SETTINGS, HARMLESS_VALUES, StatementKind, classify
from pgweave.sql.functions import PURE, Effects, effects
from pgweave.sql.plan import NotUnderstoodError
from pgweave.sql.syntax import parse
from pgweave.sql.tokens import Token, TokenKind, with_following, words

_NO_CATALOG = Catalog(tables={}, names={}, functions={})
_SYSTEM = Effects(system=True)
_STATIC = words(
    """
    pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_authid
    pg_available_extensions pg_cast pg_class pg_collation pg_constraint pg_conversion pg_database pg_depend
    pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper pg_foreign_server
    pg_foreign_table pg_group pg_index pg_indexes pg_inherits pg_language pg_matviews pg_namespace pg_opclass
    pg_operator pg_opfamily pg_partitioned_table pg_policies pg_policy pg_proc pg_publication pg_range
    pg_rewrite pg_roles pg_rules pg_sequence pg_settings pg_shdescription pg_statistic_ext pg_tables
    pg_tablespace pg_timezone_abbrevs pg_timezone_names pg_transform pg_trigger pg_ts_config pg_ts_dict
    pg_ts_parser pg_ts_template pg_type pg_user pg_views
    """
)
"""What describes the database; unlike ``pg_locks`` or ``pg_stat_activity``, no request moves it."""

_CALLED = words(
    """
    all any array array_agg array_length array_lower array_position array_to_string array_upper bool_and
    bool_or btrim cardinality cast char_length chr coalesce concat concat_ws count current_database
    current_schema current_schemas current_setting exists format generate_series generate_subscripts greatest
    in initcap int2vector_to_array json_agg json_build_array json_build_object json_object_agg jsonb_agg
    jsonb_build_object jsonb_object_agg least left length lower lpad ltrim max min name not nullif over
    pg_backend_pid pg_char_to_encoding pg_encoding_to_char pg_get_userbyid pg_is_in_recovery
    pg_is_other_temp_schema pg_my_temp_schema pg_options_to_table pg_typeof position quote_ident
    quote_literal rank regexp_match regexp_matches regexp_replace replace right row row_number row_to_json
    rpad rtrim split_part starts_with string_agg string_to_array strpos substr substring sum to_json to_jsonb
    translate trim unnest upper using values varchar version
    """
)
_CALLED_PREFIXES = ("to_reg", "pg_get_", "has_", "obj_", "col_", "shobj_", "format_type", "_pg_")
_WITH_THE_USUAL_VALUE = {"default_transaction_isolation": {"read committed"}}
_OPENS_SUBQUERY = words("as and by case distinct else except filter from intersect join lateral materialized")
_MAY_PRECEDE = _CALLED | _OPENS_SUBQUERY | words("from_ on or select then union when where with within group")
_WRITES = words("call copy delete execute for insert into lock merge set update")


def is_housekeeping(tokens: Sequence[Token]) -> bool:
    """Whether a statement, not empty, is about the session alone, or asks for what is fixed."""
    if tokens[0].is_word("select", "with", "values"):
        return _asks_for_what_is_fixed(tokens)
    control = classify(tokens)
    return control.kind is StatementKind.SESSION and control.isolation is None and not control.frees_locks


def _asks_for_what_is_fixed(tokens: Sequence[Token]) -> bool:
    if any(token.is_word(*_WRITES) for token in tokens):
        return False
    if effects(tokens, _NO_CATALOG) not in (PURE, _SYSTEM):
        return False  # it asks for the time
    if not any(token.is_word("from", "table") for token in tokens):
        return _calls_only_harmless(tokens, set())
    try:
        tree, _ = parse(_without_empty_brackets(tokens))
    except NotUnderstoodError:
        return False
    common = {each.alias for each in tree.find_all(exp.CTE)}
    tables = [node for node in tree.find_all(exp.Table) if isinstance(node.this, exp.Identifier)]
    return all(_describes(node, common) for node in tables) and _calls_only_harmless(tokens, common)


def _without_empty_brackets(tokens: Sequence[Token]) -> list[Token]:
    """The parser does not understand ``oid[]``; whether a type is an array makes no difference here."""
    kept: list[Token] = []
    for token in tokens:
        if token.text == "]" and kept and kept[-1].text == "[":
            kept.pop()
        else:
            kept.append(token)
    return kept


def _describes(node: exp.Table, common: set[str]) -> bool:
    schema = node.args["db"].name if node.args.get("db") else ""
    if schema == "information_schema":
        return True
    if schema == "pg_catalog" or not schema:
        return node.name in _STATIC or (not schema and node.name in common)
    return False


def _calls_only_harmless(tokens: Sequence[Token], common: set[str]) -> bool:
    calls = [
        (index, token)
        for index, (token, following) in enumerate(with_following(tokens))
        if token.name is not None and following.kind is TokenKind.SYMBOL and following.text == "("
    ]
    return all(token.text in common or _is_harmless(token, tokens[index + 2 :]) for index, token in calls)


def _is_harmless(called: Token, arguments: Sequence[Token]) -> bool:
    name = called.text
    if name == "set_config":
        return _is_harmless_setting(arguments)
    if called.kind is TokenKind.WORD and name in _MAY_PRECEDE:
        return True
    return name in _CALLED or name.startswith(_CALLED_PREFIXES) or name.endswith("_is_visible")


def _is_harmless_setting(arguments: Sequence[Token]) -> bool:
    """Whether a setting is harmless, whatever its value, or with the value that it is given here."""
    if not arguments or not _is_text(arguments[0]):
        return False
    name = arguments[0].text.lower()
    if name in HARMLESS_SETTINGS:
        return True
    given = arguments[2].text.lower() if len(arguments) > 2 and _is_text(arguments[2]) else None
    return given in (HARMLESS_VALUES | _WITH_THE_USUAL_VALUE).get(name, ())


def _is_text(token: Token) -> bool:
    return token.kind is TokenKind.STRING and token.exact
