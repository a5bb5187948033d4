"""A Citus cluster: a coordinator and two workers, on servers of their own.

The extension is found beside the programs of a PostgreSQL, as `lib/citus.so`. Debian's archive does not have
it: where it is not installed, what needs it is skipped by name, in CI as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from payments_core.infrastructure.embedded import EmbeddedPostgres
from tests.support.postgres import chosen_bin_dir, reachable_folder

WORKERS = 2
_DATABASE = "payments"
_SETTINGS = {
    "shared_preload_libraries": "citus",
    "wal_level": "logical",
    "max_connections": "200",
    "citus.node_conninfo": "sslmode=disable",
    "citus.shard_count": "8",
    "citus.enable_statistics_collection": "off",
}
# The coordinator logs in at the workers as whoever works there, and has no password for it.
_LETS_IN = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


@dataclass(frozen=True)
class CitusCluster:
    """A running cluster, its nodes known to each other.

    Attributes:
        coordinator: the server that clients speak to.
        workers: those that have the shards.
    """

    coordinator: EmbeddedPostgres
    workers: Sequence[EmbeddedPostgres]

    @property
    def dsn(self) -> str:
        """How the superuser reaches the database of the coordinator."""
        return self.coordinator.dsn(_DATABASE)

    def worker_dsn(self, index: int) -> str:
        """How the superuser reaches that of a worker."""
        return self.workers[index].dsn(_DATABASE)


def citus_bin_dir() -> Path:
    """The programs of a PostgreSQL that has Citus; the test or module that asks needs it."""
    candidates = [chosen_bin_dir(), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    for candidate in candidates:
        if candidate is not None and (candidate.parent / "lib" / "citus.so").exists():
            return candidate
    pytest.skip("Citus, the extension that distributes PostgreSQL, is not installed", allow_module_level=True)


@contextmanager
def server(
    bin_dir: Path, folder: Path, settings: Mapping[str, str], *, durable: bool
) -> Iterator[EmbeddedPostgres]:
    """A server that has Citus loaded, with an empty database."""
    node = EmbeddedPostgres(
        folder,
        bin_dir=bin_dir,
        durable=durable,
        autovacuum=False,
        settings={**_SETTINGS, "hba_file": str(folder.parent / "hba"), **settings},
    )
    with node:
        node.create_database(_DATABASE)
        yield node


@contextmanager
def citus_cluster(
    *, known: bool = True, durable: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[CitusCluster]:
    """A cluster without a schema, for as long as the block runs.

    Args:
        known: whether the nodes are known to each other.
        durable: whether the servers wait for their disk.
        settings: more settings of the servers.
    """
    bin_dir = citus_bin_dir()
    with reachable_folder() as folder, ExitStack() as stack:
        (folder / "hba").write_text(_LETS_IN)
        nodes = [
            stack.enter_context(server(bin_dir, folder / f"node{number}", settings or {}, durable=durable))
            for number in range(1 + WORKERS)
        ]
        cluster = CitusCluster(nodes[0], nodes[1:])
        if known:
            join(cluster)
        yield cluster


def join(cluster: CitusCluster, ports: Sequence[int] | None = None) -> None:
    """Make the nodes known to each other.

    Args:
        cluster: its nodes.
        ports: where the coordinator reaches the workers; where they listen, if not given.
    """
    for node in (cluster.coordinator, *cluster.workers):
        with psycopg.connect(node.dsn(_DATABASE), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS citus")
    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        connection.execute("SELECT citus_set_coordinator_host('127.0.0.1', %s)", [cluster.coordinator.port])
        for port in ports or [worker.port for worker in cluster.workers]:
            connection.execute("SELECT citus_add_node('127.0.0.1', %s)", [port])
