"""A Citus cluster under load: a worker is lost, also in the middle of a commit, and shards move."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import session
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.audit import audit
from payments_verify.nemesis.deployment import ENVIRONMENT, Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.judge import judge
from payments_verify.nemesis.load import Habits
from payments_verify.nemesis.window import Pace, WindowReport, history_file, play
from payments_verify.systems import (
    SERVICE_LOGIN,
    ApiProcess,
    Cluster,
    make_token,
)
from tests.support.citus import CitusCluster, citus_bin_dir, citus_cluster

pytestmark = [pytest.mark.long, pytest.mark.citus]
citus_bin_dir()

SETTLED_S = 60.0
_PLACEMENTS = b"""
    SELECT shardid, a.nodename, a.nodeport, b.nodename, b.nodeport
    FROM citus_shards AS a JOIN pg_dist_node AS b ON b.groupid <> 0 AND b.nodeport <> a.nodeport
    WHERE table_name = 'payments'::regclass
"""
_MOVE = b"SELECT citus_move_shard_placement(%s, %s, %s, %s, %s, 'force_logical')"


@dataclass
class Hurt:
    """What the load under faults needs of a database, here of the coordinator."""

    cluster: CitusCluster

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """A session of the superuser with the coordinator."""
        async with await psycopg.AsyncConnection.connect(self.cluster.dsn, autocommit=True) as connection:
            yield connection


class WorkerKilled(Fault):
    """A worker ends as in a crash, and is started again."""

    name = "worker killed"
    about = "the postmaster of a worker is stopped immediate under load, and started again"
    side = "database"
    hold_s = (0.5, 1.5)

    async def inject(self) -> None:
        """Stop one."""
        workers = cast("Hurt", self.deployment.cluster).cluster.workers
        self._worker = self.rng.choice(workers)
        await asyncio.to_thread(self._worker.stop, "immediate")
        self.effects = 1

    async def heal(self) -> None:
        """Start it."""
        await asyncio.to_thread(self._worker.start)


@asynccontextmanager
async def hurt(cluster: CitusCluster) -> AsyncIterator[Deployment]:
    """Two processes of the service, logged in as an ordinary role, on the cluster."""
    async with AsyncExitStack() as stack:
        login = sql.Identifier(SERVICE_LOGIN)
        async with Hurt(cluster).connect() as connection:
            await connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(login))
            await connection.execute(sql.SQL("GRANT payments_app TO {}").format(login))
        token, accepted = make_token()
        environment = {
            **ENVIRONMENT,
            "DATABASE_URL": make_conninfo(cluster.dsn, user=SERVICE_LOGIN),
            "PAYMENTS_TOKENS": accepted,
        }
        apis = [await stack.enter_async_context(ApiProcess.run(environment)) for _ in range(2)]
        yield Deployment(cast("Cluster", Hurt(cluster)), cast("Any", None), tuple(apis), token, Habits())


class ShardsMoved(Fault):
    """Shards move from one worker to the other."""

    name = "shards moved"
    about = "three shards of payments, with what lies beside them, are moved to the other worker under load"
    side = "database"
    hold_s = (0.0, 0.5)

    async def inject(self) -> None:
        """Move them, one after the other."""
        async with self.deployment.cluster.connect() as connection:
            await connection.execute(b"SET citus.enable_unsafe_triggers = on")
            found = await connection.execute(_PLACEMENTS)
            for placement in self.rng.sample(await found.fetchall(), 3):
                await connection.execute(_MOVE, placement)
                self.effects += 1


async def load(cluster: CitusCluster, kind: type[Fault], windows: int, folder: Path) -> list[WindowReport]:
    rng = random.Random(1)
    async with hurt(cluster) as deployment:
        numbers = range(1, windows + 1)
        return [(await play(deployment, number, [kind], folder, rng, Pace()))[0] for number in numbers]


@pytest.fixture
def distributed() -> Iterator[CitusCluster]:
    """A cluster that has the service's tables."""
    with citus_cluster() as cluster:
        migrate(cluster.dsn)
        distribute(cluster.dsn, session(Settings(lock_timeout_ms=2000)))
        yield cluster


@pytest.mark.invariant("I7")
def test_workers_that_are_killed_under_load_lose_nothing(distributed: CitusCluster, tmp_path: Path) -> None:
    windows = 4
    asyncio.run(load(distributed, WorkerKilled, windows, tmp_path))
    found = [judge(history_file(tmp_path, number)) for number in range(1, windows + 1)]
    assert [each.problem for each in found] == [None] * windows
    assert {each.verdict for each in found} == {"holds"}
    assert sum(each.acknowledged for each in found) > 100
    assert audit(distributed.dsn).verdict == "holds"


@pytest.mark.invariant("I1", "I7")
def test_shards_that_are_moved_under_load_lose_and_double_nothing(
    distributed: CitusCluster, tmp_path: Path
) -> None:
    """A lock may not be kept over a move: then the schema refuses, and the answer is 500."""
    (report,) = asyncio.run(load(distributed, ShardsMoved, 1, tmp_path))
    assert [incident.effects for incident in report.incidents] == [3]
    assert all("was answered with 500" in each for each in report.findings)
    found = judge(history_file(tmp_path, 1))
    assert (found.lost, found.doubled) == (0, 0)
    assert found.acknowledged > 20
    assert "not linearizable" not in (found.problem or "")
    assert audit(distributed.dsn).verdict == "holds"
