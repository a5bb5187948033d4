"""Empty databases, on a server of the harness's own or on somebody else's, which may be a Citus cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from payments_verify.systems.gated import EXPLORING
from pgweave import clock
from pgweave.database_url import DatabaseUrl
from pgweave.embedded import temporary_postgres

_CONNECT_LIMIT_S = 10
_COORDINATOR = "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid = 0"


@contextmanager
def empty_databases(bin_dir: Path | None = None, server: str | None = None) -> Iterator[Callable[[], str]]:
    """What makes an empty database, and gives its connection string.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        server: a server of somebody else's, see `databases_on`; one of the harness's own if not given.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
        psycopg.Error: the server that was given is not reached, or refuses.
    """
    if server is not None:
        with databases_on(server) as new_database:
            yield new_database
        return
    numbers = count(1)
    with temporary_postgres(bin_dir=bin_dir, settings=EXPLORING) as own:
        yield lambda: own.create_database(f"conformance_{next(numbers)}")


@contextmanager
def databases_on(server: str) -> Iterator[Callable[[], str]]:
    """What makes empty databases on a server; they are dropped at the end.

    Where the server is the coordinator of a Citus cluster, a database is made on every node, and the nodes
    are made known to each other.

    Args:
        server: Connection string of a superuser to a database there; of Citus, to one that knows its workers.

    Raises:
        psycopg.Error: The server is not reached, or does not let the role make a database.
    """
    nodes = clock.nodes(server)
    made: list[str] = []

    def new_database() -> str:
        name = f"conformance_{uuid4().hex}"
        made.append(name)
        for node in nodes:
            _execute(node, "CREATE DATABASE {}", name)
        if len(nodes) > 1:
            with _connected(server) as connection:
                own = connection.execute(_COORDINATOR).fetchone() or _address(server)
            made_there = [str(DatabaseUrl.of(node).to(name)) for node in nodes]
            join(made_there, own, [_address(node) for node in nodes[1:]])
        return str(DatabaseUrl.of(server).to(name))

    try:
        yield new_database
    finally:
        for name in made:
            for node in nodes:
                _execute(node, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def join(nodes: Sequence[str], coordinator: Sequence[object], workers: Sequence[Sequence[object]]) -> None:
    """Make a Citus cluster of one database on each of several servers.

    Args:
        nodes: Connection strings of a superuser to each; the coordinator's is the first.
        coordinator: Host and port at which the workers reach the coordinator.
        workers: Those at which the coordinator reaches the workers.
    """
    for node in nodes:
        _execute(node, "CREATE EXTENSION IF NOT EXISTS citus")
    with _connected(nodes[0]) as connection:
        connection.execute("SELECT citus_set_coordinator_host(%s, %s)", coordinator)
        for worker in workers:
            connection.execute("SELECT citus_add_node(%s, %s)", worker)


def _address(conninfo: str) -> tuple[str, int]:
    parts = conninfo_to_dict(conninfo)
    return str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)


def _connected(conninfo: str) -> psycopg.Connection:
    return psycopg.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_LIMIT_S)


def _execute(conninfo: str, statement: str, *names: str) -> None:
    with _connected(conninfo) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
