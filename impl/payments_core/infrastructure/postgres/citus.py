"""Distribute the tables over the nodes of a Citus cluster: all that is of a payment lies on one shard."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from payments_core.infrastructure.postgres.migrate import MigrationError, turn
from payments_core.infrastructure.postgres.session import Session

TABLES = ("payments", "capture_attempts", "payment_events")
KEY = "payment_id"

_HOW_TO_ADD = (
    "on the coordinator: SELECT citus_set_coordinator_host('its address', 5432); then, for each worker, in "
    "whose database the extension has been made: SELECT citus_add_node('its address', 5432)"
)
_WORKERS = "SELECT FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary'"
_PLACED = """
    SELECT partmethod::text, column_to_column_name(logicalrelid, partkey)
    FROM pg_dist_partition WHERE logicalrelid = to_regclass(%s)
"""
_POINT_HERE = """
    SELECT conrelid::regclass::text, conname FROM pg_constraint
    WHERE contype = 'f' AND confrelid = ANY(%(ours)s::regclass[]) AND conrelid <> ALL(%(ours)s::regclass[])
"""
_NODE_SETTINGS = """
    SELECT current_setting('synchronous_commit') || ' ' || current_setting('session_replication_role')
"""
_ASK_WORKERS = "SELECT nodename || ':' || nodeport, success, result FROM run_command_on_workers(%s)"


def distribute(dsn: str, session: Session) -> list[str]:
    """Distribute the tables of a migrated database by payment, and return those that were not yet.

    The workers are told of the application's role what the service sets in its own sessions, because the
    coordinator opens theirs: as whom it works, and how long it may take.

    Args:
        dsn: Connection string of a superuser to the database of the coordinator.
        session: What the sessions of the service are.

    Raises:
        MigrationError: The database cannot be distributed; the message says why and what to do.
        psycopg.Error: The connection or a statement failed; tables before it stay distributed.
    """
    with turn(dsn) as connection:
        _require_citus(connection)
        _require_workers(connection)
        missing = [table for table in TABLES if not _is_distributed(connection, table)]
        _require_no_foreign_keys(connection, missing)
        # The triggers read rows of their own payment only, which lie on the same shard.
        connection.execute("SET citus.enable_unsafe_triggers = on")
        for table in missing:
            beside = "default" if table == TABLES[0] else TABLES[0]
            connection.execute(
                "SELECT create_distributed_table(%s, %s, colocate_with => %s)", [table, KEY, beside]
            )
        if session.role:
            _let_in(connection, session)
        return missing


def _require_citus(connection: psycopg.Connection) -> None:
    found = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'citus'").fetchone()
    if found is None:
        raise MigrationError(
            "the server does not have the extension citus: install it, or leave out --distribute"
        )
    preloaded = _row(connection, "SELECT current_setting('shared_preload_libraries')")[0]
    if "citus" not in preloaded:
        raise MigrationError(
            "Citus has to be loaded when the server starts: put citus first into shared_preload_libraries "
            "on every node, and restart them"
        )
    connection.execute("CREATE EXTENSION IF NOT EXISTS citus")


def _require_workers(connection: psycopg.Connection) -> None:
    if not connection.execute(_WORKERS).fetchall():
        raise MigrationError(f"no node of the cluster takes shards; {_HOW_TO_ADD}")
    for worker, settings in _asked(
        connection, _NODE_SETTINGS, "the coordinator has to reach it as this role"
    ):
        durable, triggers = settings.split()
        if durable in {"off", "local"}:
            raise MigrationError(
                f"worker {worker}: synchronous_commit is {durable}, and what was answered could be lost: "
                "RESET it where it is set"
            )
        if triggers != "origin":
            raise MigrationError(
                f"worker {worker}: session_replication_role is {triggers}, which turns the guards of the "
                "schema off: RESET it where it is set"
            )


def _is_distributed(connection: psycopg.Connection, table: str) -> bool:
    """Whether a table is distributed as it has to be.

    Raises:
        MigrationError: it is, in another way.
    """
    placed = connection.execute(_PLACED, [table]).fetchone()
    if placed is None:
        return False
    if placed != ("h", KEY):
        raise MigrationError(
            f"{table} is distributed already, and not by {KEY}: SELECT undistribute_table('{table}')"
        )
    return True


def _require_no_foreign_keys(connection: psycopg.Connection, tables: Sequence[str]) -> None:
    if not tables:
        return
    others = connection.execute(_POINT_HERE, {"ours": list(TABLES)}).fetchall()
    if others:
        named = ", ".join(f"{name} of {table}" for table, name in others)
        raise MigrationError(
            f"foreign keys of other tables cannot lead to a distributed table: {named}; drop them"
        )


def _let_in(connection: psycopg.Connection, session: Session) -> None:
    """Let the coordinator work on the workers as the application's role, and see that it can."""
    role = sql.Identifier(session.role)
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(role))
    for name, value in session.settings(connection.info.server_version).items():
        if name != "role":
            setting = sql.SQL("ALTER ROLE {} SET {} = {}").format(
                role, sql.Identifier(name), sql.Literal(value.strip("'"))
            )
            connection.execute(setting)
    connection.execute(sql.SQL("SET ROLE {}").format(role))
    _asked(
        connection,
        "SELECT payment_clock()",
        f"its pg_hba.conf has to let the coordinator log in as {session.role}, by certificate or address",
    )
    connection.execute("RESET ROLE")


def _asked(connection: psycopg.Connection, command: str, otherwise: str) -> list[tuple[str, str]]:
    """What each worker answers to a command.

    Raises:
        MigrationError: one does not; the message says why, ``otherwise`` included.
    """
    answers = connection.execute(_ASK_WORKERS, [command]).fetchall()
    for worker, success, result in answers:
        if not success:
            raise MigrationError(f"worker {worker}: {result}; {otherwise}")
    return [(worker, result) for worker, _, result in answers]


def _row(connection: psycopg.Connection, query: str) -> TupleRow:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
