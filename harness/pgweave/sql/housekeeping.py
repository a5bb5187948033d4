"""Statements that clients send because of their caches and pools rather than because of a request.

Whether they are sent depends on how old a process or a connection is, so that two runs of one schedule differ
in them. They are no steps: they pass at once, as if they belonged to the step before them. So only such count
as neither change nor lock anything that others see: what is not known to be harmless is a step.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from pgweave.sql.catalog import Catalog
from pgweave.sql.control import StatementKind, classify, is_harmless, setting_of_call
from pgweave.sql.functions import PURE, Effects, effects, users_effects
from pgweave.sql.plan import NotUnderstoodError
from pgweave.sql.syntax import parse
from pgweave.sql.tokens import Token, TokenKind, with_following, words

NO_CATALOG = Catalog(tables={}, names={}, functions={})
"""Where the database's own is not known."""

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
_DESCRIBE = words(
    """
    _pg_char_max_length _pg_char_octet_length _pg_datetime_precision _pg_expandarray _pg_index_position
    _pg_interval_type _pg_numeric_precision _pg_numeric_precision_radix _pg_numeric_scale _pg_truetypid
    _pg_truetypmod col_description format_type has_any_column_privilege has_column_privilege
    has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege
    has_largeobject_privilege has_parameter_privilege has_schema_privilege has_sequence_privilege
    has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege obj_description
    pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible pg_get_acl
    pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr pg_get_function_arg_default
    pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
    pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_object_address
    pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables pg_get_replica_identity_index
    pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef pg_get_statisticsobjdef_columns
    pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_viewdef pg_opclass_is_visible
    pg_operator_is_visible pg_opfamily_is_visible pg_statistics_obj_is_visible pg_table_is_visible
    pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible
    pg_type_is_visible shobj_description to_regclass to_regcollation to_regnamespace to_regoper
    to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod
    """
)
"""Functions of PostgreSQL 15 to 18 that tell what the catalogs say."""

_HARMLESS = _CALLED | _DESCRIBE
_SYSTEM_SCHEMAS = "pg_catalog", "information_schema"
_WITH_THE_USUAL_VALUE = {"default_transaction_isolation": {"read committed"}}
_OPENS_SUBQUERY = words("as and by case distinct else except filter from intersect join lateral materialized")
_MAY_PRECEDE = _CALLED | _OPENS_SUBQUERY | words("from_ on or select then union when where with within group")
_WRITES = words("call copy delete execute for insert into lock merge set update")


def is_housekeeping(tokens: Sequence[Token], catalog: Catalog) -> bool:
    """Whether a statement, not empty, is about the session alone, or asks for what is fixed."""
    if tokens[0].is_word("select", "with", "values"):
        return _asks_for_what_is_fixed(tokens, catalog)
    control = classify(tokens)
    return control.kind is StatementKind.SESSION and control.isolation is None and not control.frees_locks


def _asks_for_what_is_fixed(tokens: Sequence[Token], catalog: Catalog) -> bool:
    if any(token.is_word(*_WRITES) for token in tokens):
        return False
    if effects(tokens, NO_CATALOG) not in (PURE, _SYSTEM):
        return False  # it asks for the time
    if users_effects(tokens, catalog) not in (PURE, _SYSTEM):
        return False  # a user's function may have any name
    if not any(token.is_word("from", "table") for token in tokens):
        return _calls_only_harmless(tokens, set())
    try:
        tree, _ = parse(_without_empty_brackets(tokens))
    except NotUnderstoodError:
        return False
    common = {each.alias for each in tree.find_all(exp.CTE)}
    tables = [node for node in tree.find_all(exp.Table) if isinstance(node.this, exp.Identifier)]
    return all(_describes(node, common, catalog) for node in tables) and _calls_only_harmless(tokens, common)


def _without_empty_brackets(tokens: Sequence[Token]) -> list[Token]:
    """The parser does not understand ``oid[]``; whether a type is an array makes no difference here."""
    kept: list[Token] = []
    for token in tokens:
        if token.text == "]" and kept and kept[-1].text == "[":
            kept.pop()
        else:
            kept.append(token)
    return kept


def _describes(node: exp.Table, common: set[str], catalog: Catalog) -> bool:
    schema = node.args["db"].name if node.args.get("db") else ""
    if schema == "information_schema":
        return True
    if schema == "pg_catalog":
        return node.name in _STATIC
    if schema:
        return False
    return node.name in common or (node.name in _STATIC and node.name not in catalog.names)


def _calls_only_harmless(tokens: Sequence[Token], common: set[str]) -> bool:
    calls = [
        (index, token)
        for index, (token, following) in enumerate(with_following(tokens))
        if token.name is not None and following.kind is TokenKind.SYMBOL and following.text == "("
    ]
    return all(
        (token.text in common and not _schema_of(tokens, index))
        or (_schema_of(tokens, index) in ("", *_SYSTEM_SCHEMAS) and _is_harmless(token, tokens[index + 2 :]))
        for index, token in calls
    )


def _schema_of(tokens: Sequence[Token], index: int) -> str:
    """What stands before a name, with a dot between."""
    return tokens[index - 2].text if index > 1 and tokens[index - 1].text == "." else ""


def _is_harmless(called: Token, arguments: Sequence[Token]) -> bool:
    name = called.text
    if name == "set_config":
        return _is_harmless_setting(arguments)
    return name in _HARMLESS or (called.kind is TokenKind.WORD and name in _MAY_PRECEDE)


def _is_harmless_setting(arguments: Sequence[Token]) -> bool:
    """Whether a setting is harmless, whatever its value, or with the value that it is given here."""
    name, given = setting_of_call(arguments)
    return name is not None and (is_harmless(name, given) or given in _WITH_THE_USUAL_VALUE.get(name, ()))
