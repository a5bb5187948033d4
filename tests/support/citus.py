"""Where Citus is: the one place that tests and benchmarks ask.

`CITUS_DSN` names a cluster: a superuser's connection string to a database of its coordinator that knows the
workers. Databases are made there and dropped; its servers are never stopped. Otherwise the extension is
looked for beside the programs of a PostgreSQL, as `lib/citus.so`, and clusters of a coordinator and two
workers are started. Debian's archive does not have it: where there is neither, what needs it is skipped by
name, in CI as well, and `make test-citus` ends with 2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from payments_verify.systems.empty_databases import databases_on, join
from pgweave import clock
from pgweave.embedded import EmbeddedPostgres
from tests.support.postgres import chosen_bin_dir, reachable_folder

DSN_VARIABLE = "CITUS_DSN"
INSTALLED = Path("/usr/lib/postgresql")
WORKERS = 2
_DATABASE = "payments"
_SETTINGS = {
    "shared_preload_libraries": "citus",
    "wal_level": "logical",
    "max_connections": "200",
    "citus.node_conninfo": "sslmode=disable",
    "citus.shard_count": "8",
    "citus.recover_2pc_interval": "1s",
    "citus.enable_statistics_collection": "off",
}
# The coordinator logs in at the workers as whoever works there, and has no password for it.
_LETS_IN = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


@dataclass(frozen=True)
class CitusDatabase:
    """A database of a Citus cluster.

    Attributes:
        dsn: how a superuser reaches it on the coordinator.
        worker_dsns: how on each worker.
    """

    dsn: str
    worker_dsns: Sequence[str]

    @property
    def worker_ports(self) -> set[int]:
        """Where the workers listen."""
        return {int(str(conninfo_to_dict(dsn)["port"])) for dsn in self.worker_dsns}


@dataclass(frozen=True)
class CitusCluster(CitusDatabase):
    """A cluster of servers that may be stopped.

    Attributes:
        coordinator: the server that clients speak to.
        workers: those that have the shards.
    """

    coordinator: EmbeddedPostgres
    workers: Sequence[EmbeddedPostgres]

    def join(self, ports: Sequence[int] | None = None) -> None:
        """Make the nodes known to each other.

        Args:
            ports: where the coordinator reaches the workers; where they listen, if not given.
        """
        reached = ports or [worker.port for worker in self.workers]
        join(
            [self.dsn, *self.worker_dsns],
            ("127.0.0.1", self.coordinator.port),
            [("127.0.0.1", port) for port in reached],
        )


def require_citus() -> None:
    """The module that asks needs Citus, of whichever cluster."""
    if not os.environ.get(DSN_VARIABLE):
        citus_bin_dir()


def citus_bin_dir() -> Path:
    """The programs of a PostgreSQL that has Citus; the test that asks needs servers which it may stop."""
    candidates = [chosen_bin_dir(), *sorted(INSTALLED.glob("*/bin"), reverse=True)]
    for candidate in candidates:
        if candidate is not None and (candidate.parent / "lib" / "citus.so").exists():
            return candidate
    given = " (the cluster of CITUS_DSN is not ours to stop)" if os.environ.get(DSN_VARIABLE) else ""
    pytest.skip(
        "Citus, the extension that distributes PostgreSQL, is not installed: no lib/citus.so beside a"
        f" PostgreSQL of {INSTALLED} or of PAYMENTS_TEST_POSTGRES_BIN, and no {DSN_VARIABLE}{given}",
        allow_module_level=True,
    )


@contextmanager
def citus_database() -> Iterator[CitusDatabase]:
    """An empty database of the cluster of `CITUS_DSN`, or of one that is started for it."""
    with ExitStack() as stack:
        server = os.environ.get(DSN_VARIABLE) or stack.enter_context(citus_cluster()).dsn
        dsn = stack.enter_context(databases_on(server))()
        yield CitusDatabase(dsn, clock.nodes(dsn)[1:])


@contextmanager
def _server(bin_dir: Path, folder: Path, *, durable: bool) -> Iterator[EmbeddedPostgres]:
    """A server that has Citus loaded, with an empty database."""
    node = EmbeddedPostgres(
        folder,
        bin_dir=bin_dir,
        durable=durable,
        autovacuum=False,
        settings={**_SETTINGS, "hba_file": str(folder.parent / "hba")},
    )
    with node:
        node.create_database(_DATABASE)
        yield node


@contextmanager
def citus_cluster(*, known: bool = True, durable: bool = False) -> Iterator[CitusCluster]:
    """A cluster that is started for the block, without a schema.

    Args:
        known: whether the nodes are known to each other.
        durable: whether the servers wait for their disk.
    """
    bin_dir = citus_bin_dir()
    with reachable_folder() as folder, ExitStack() as stack:
        (folder / "hba").write_text(_LETS_IN)
        coordinator, *workers = (
            stack.enter_context(_server(bin_dir, folder / f"node{number}", durable=durable))
            for number in range(1 + WORKERS)
        )
        cluster = CitusCluster(
            coordinator.dsn(_DATABASE), [worker.dsn(_DATABASE) for worker in workers], coordinator, workers
        )
        if known:
            cluster.join()
        yield cluster
