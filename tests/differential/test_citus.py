"""The service on a Citus cluster: it agrees with the model, races are linearizable, a worker may be lost."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify import clock
from payments_verify.audit import audit
from payments_verify.gate import Fault as Wire
from payments_verify.gate import Gate, HeldStatement
from payments_verify.gate.proxy import PassAll
from payments_verify.interleavings.source_dpor import SourceDPOR
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.judge import judge
from payments_verify.nemesis.load import Habits
from payments_verify.nemesis.target import _ENVIRONMENT, Target
from payments_verify.nemesis.window import Pace, history_file, play
from payments_verify.payments.checks import machine_check
from payments_verify.payments.observations import Invocation, Observation
from payments_verify.payments.scenario_check import explore_scenario
from payments_verify.payments.scenarios import SCENARIOS
from payments_verify.payments.stress_check import stress_check
from payments_verify.systems import (
    SERVICE_LOGIN,
    ApiProcess,
    Cluster,
    gated,
    in_process,
    make_token,
    servers,
)
from payments_verify.systems.server import server_process
from payments_verify.systems.shipped import shipped
from tests.support.citus import CitusCluster, citus_bin_dir, citus_cluster, join

pytestmark = pytest.mark.long
citus_bin_dir()

CAPTURES = 10
SETTLES_SOON = {"citus.recover_2pc_interval": "1s"}
"""What a lost worker has prepared is committed or taken back after so long; a minute, if nothing is set."""
SETTLED_S = 60.0
SEEN = ("capture -> captured", "capture -> captured (replayed)", "capture -> key_reused", "fail -> failed")
SCHEDULES = {"different-keys": 6, "same-key-twice": 6, "capture-and-sweep": 13}
"""As many as on one server: so it is seen on the workers who waits for whom."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[CitusCluster]:
    """A cluster that has the service's tables, and a clock that can be set on each node."""
    with citus_cluster() as made:
        migrate(made.dsn)
        distribute(made.dsn, session(Settings()))
        clock.install(made.dsn)
        yield made


def test_every_answer_is_the_models(cluster: CitusCluster) -> None:
    result = machine_check("citus", partial(in_process, cluster.dsn), examples=80, steps=20, seed=2)
    assert result.counterexample is None
    assert result.verdict == "holds"
    assert [each for each in SEEN if each not in result.details["outcomes"]] == []
    assert result.details["comparisons"] > 800


@pytest.mark.invariant("I1")
def test_of_ten_racing_captures_one_wins(cluster: CitusCluster) -> None:
    async def race() -> list[str]:
        async with servers(cluster.dsn, 2) as system:
            payment = str(uuid4())
            await system.clients[0].send(Invocation("create", {"payment": payment, "amount": 500}))
            await system.clients[1].send(Invocation("authorize", {"payment": payment, "window": 600_000_000}))
            answers = await asyncio.gather(
                *(
                    system.clients[number % 2].send(
                        Invocation("capture", {"payment": payment, "key": f"k{number}", "amount": 500})
                    )
                    for number in range(CAPTURES)
                )
            )
            return [answer.value["outcome"] for answer in answers]

    assert sorted(asyncio.run(race())) == sorted(["captured"] + ["already_captured"] * (CAPTURES - 1))


@pytest.mark.invariant("I10")
def test_histories_of_races_on_two_processes_are_linearizable(cluster: CitusCluster, tmp_path: Path) -> None:
    opened = partial(servers, cluster.dsn, 2)
    result = stress_check("citus", opened, tmp_path, rounds=15, seed=3, progress=None)
    assert result.counterexample is None
    assert result.verdict == "holds"
    assert result.details["outcomes"]["capture -> captured"] > 0
    report = audit(cluster.dsn)
    assert report.verdict == "holds", report.findings
    assert report.counts.payments > 15


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_interleaving_holds(cluster: CitusCluster, name: str, tmp_path: Path) -> None:
    async def explore() -> Any:
        async with gated(cluster.dsn, one_core=False) as service:
            return await explore_scenario(SCENARIOS[name], service, SourceDPOR, tmp_path, rerun_every=0)

    explored = asyncio.run(explore())
    assert explored.problem is None
    assert explored.verdict == "holds"
    assert explored.report.schedules == SCHEDULES[name]


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
        workers = cast("Hurt", self.target.cluster).cluster.workers
        self._worker = self.rng.choice(workers)
        await asyncio.to_thread(self._worker.stop, "immediate")
        self.effects = 1

    async def heal(self) -> None:
        """Start it."""
        await asyncio.to_thread(self._worker.start)


@asynccontextmanager
async def hurt(cluster: CitusCluster) -> AsyncIterator[Target]:
    """Two processes of the service, logged in as an ordinary role, on the cluster."""
    async with AsyncExitStack() as stack:
        login = sql.Identifier(SERVICE_LOGIN)
        async with Hurt(cluster).connect() as connection:
            await connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(login))
            await connection.execute(sql.SQL("GRANT payments_app TO {}").format(login))
        token, accepted = make_token()
        environment = {
            **_ENVIRONMENT,
            "DATABASE_URL": make_conninfo(cluster.dsn, user=SERVICE_LOGIN),
            "PAYMENTS_TOKENS": accepted,
        }
        apis = [await stack.enter_async_context(ApiProcess.run(environment)) for _ in range(2)]
        yield Target(cast("Cluster", Hurt(cluster)), cast("Any", None), tuple(apis), token, Habits())


def test_conformance_over_http(tmp_path: Path) -> None:
    """Levels 1 to 3, as a client meets them, on the real clock."""

    async def examined(dsn: str) -> int:
        async with server_process(dsn) as url:
            command = [
                sys.executable,
                "-m",
                "payments_verify",
                "conformance",
                "--url",
                url,
                "--quick",
                "--json",
            ]
            with (tmp_path / "report.json").open("wb") as report:
                process = await asyncio.create_subprocess_exec(*command, stdout=report)
                return await process.wait()

    with citus_cluster() as cluster:
        migrate(cluster.dsn)
        distribute(cluster.dsn, session(Settings()))
        assert asyncio.run(examined(cluster.dsn)) == 0
    assert json.loads((tmp_path / "report.json").read_bytes())["level"] == 3


class Struck(PassAll):
    """Lets a fault befall the first statement of a kind that the coordinator sends to a worker."""

    def __init__(self, statement: str, fault: Wire) -> None:
        self._statement = statement
        self._fault: Wire | None = fault
        self.has_struck = False

    def controls(self, _session: object) -> bool:
        """Always."""
        return True

    def held(self, statement: HeldStatement) -> None:
        """Let it go, to the fault."""
        strikes = statement.sql.startswith(self._statement) and not self.has_struck
        self.has_struck = self.has_struck or strikes
        statement.release(self._fault if strikes else None)


@pytest.mark.invariant("I3", "I7")
@pytest.mark.parametrize(
    ("statement", "fault", "is_stored"),
    [
        ("PREPARE TRANSACTION", Wire.CUT_BEFORE, False),
        ("PREPARE TRANSACTION", Wire.CUT_AFTER, False),
        ("COMMIT PREPARED", Wire.CUT_BEFORE, True),
        ("COMMIT PREPARED", Wire.CUT_AFTER, True),
    ],
)
def test_a_worker_that_is_lost_in_the_middle_of_a_commit(
    statement: str, fault: Wire, *, is_stored: bool
) -> None:
    """The client is not told of success, and the retry finds what is so, once the cluster has settled it."""

    async def lost(cluster: CitusCluster) -> tuple[Observation, Observation]:
        async with AsyncExitStack() as stack:
            gates = [
                await stack.enter_async_context(Gate.open(cluster.worker_dsn(index))) for index in range(2)
            ]
            await asyncio.to_thread(prepared, cluster, [_port(gate) for gate in gates])
            pool = await stack.enter_async_context(make_pool(Settings(database_url=cluster.dsn)))
            client = shipped(postgres_store(pool))
            payment = str(uuid4())
            await client.send(Invocation("create", {"payment": payment, "amount": 500}))
            await client.send(Invocation("authorize", {"payment": payment, "window": 600_000_000}))
            struck = Struck(statement, fault)
            for gate in gates:
                gate.observer = struck
            capture = Invocation("capture", {"payment": payment, "key": "k1", "amount": 500})
            first = again = await client.send(capture)
            assert struck.has_struck
            async with asyncio.timeout(SETTLED_S):
                while again.kind == "unknown":
                    again = await client.send(capture)
            report = await asyncio.to_thread(audit, cluster.dsn)
            assert report.verdict == "holds", report.findings
            return first, again

    with citus_cluster(known=False, settings=SETTLES_SOON) as cluster:
        first, again = asyncio.run(lost(cluster))
    assert first.kind == "unknown"
    assert (again.value["outcome"], again.value["replayed"]) == ("captured", is_stored)


def prepared(cluster: CitusCluster, ports: Sequence[int]) -> None:
    """Make the nodes known to each other, each worker behind its gate, and the tables."""
    join(cluster, ports)
    migrate(cluster.dsn)
    distribute(cluster.dsn, session(Settings()))


def _port(gate: Gate) -> int:
    return int(str(conninfo_to_dict(gate.tcp_dsn)["port"]))


@pytest.mark.invariant("I7")
def test_workers_that_are_killed_under_load_lose_nothing(tmp_path: Path) -> None:
    windows = 4
    rng = random.Random(1)

    async def soak(cluster: CitusCluster) -> None:
        async with hurt(cluster) as target:
            for number in range(1, windows + 1):
                await play(target, number, [WorkerKilled], tmp_path, rng, Pace())

    with citus_cluster(settings=SETTLES_SOON) as cluster:
        migrate(cluster.dsn)
        distribute(cluster.dsn, session(Settings(lock_timeout_ms=2000)))
        asyncio.run(soak(cluster))
        found = [judge(history_file(tmp_path, number)) for number in range(1, windows + 1)]
        assert [each.problem for each in found] == [None] * windows
        assert {each.verdict for each in found} == {"holds"}
        assert sum(each.acknowledged for each in found) > 100
        assert audit(cluster.dsn).verdict == "holds"
