"""A worker of a Citus cluster is killed at each step of a commit; each history is judged.

Which transactions are committed in two phases is seen between the coordinator and the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.audit import audit
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.specification.spec import Payments
from payments_verify.systems.application import application_client
from pgweave.embedded import EmbeddedPostgres
from pgweave.gate import Fault, Gate, HeldStatement
from pgweave.gate.proxy import PassAll
from pgweave.history.linearizability import check
from pgweave.history.operations import Operation
from pgweave.history.recorder import Recorder
from pgweave.verdict import Verdict
from tests.support.citus import CitusCluster, citus_bin_dir, citus_cluster

pytestmark = [pytest.mark.long, pytest.mark.citus]
citus_bin_dir()

SETTLED_S = 60.0
PREPARE, COMMIT_PREPARED, COMMIT = "PREPARE TRANSACTION", "COMMIT PREPARED", "COMMIT"
STEPS = [
    pytest.param(PREPARE, False, id="before PREPARE TRANSACTION"),
    pytest.param(PREPARE, True, id="after PREPARE TRANSACTION"),
    pytest.param(COMMIT_PREPARED, False, id="before COMMIT PREPARED"),
    pytest.param(COMMIT_PREPARED, True, id="after COMMIT PREPARED"),
]
ON_SHARDS = (
    "-c session_replication_role=replica -c citus.enable_manual_changes_to_shards=on"
    " -c citus.override_table_visibility=off"
)
SHARDS = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(payments|capture_attempts)_[0-9]+$'"
)
UNCAPTURE = "UPDATE {} SET state = 'authorized', captured_at = NULL, captured_amount_cents = NULL"


@dataclass
class Killing(PassAll):
    """Kills a worker at a statement that the coordinator sends it, once; the coordinator gets no answer.

    Attributes:
        worker: the server.
        statement: how the statement begins; nobody is killed for an empty one.
        after: whether the worker has executed it.
        ends: the statements that end transactions, as they came.
    """

    worker: EmbeddedPostgres
    statement: str = ""
    after: bool = False
    struck: list[EmbeddedPostgres] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def decide_to_hold(self, _session: object) -> bool:
        """Always."""
        return True

    def held(self, statement: HeldStatement) -> None:
        """Let it go, or kill."""
        if statement.sql.startswith((PREPARE, COMMIT)):
            self.ends.append(statement.sql.partition(" '")[0])
        if not self._strikes(statement):
            statement.release()
        elif self.after:
            statement.release(Fault.CUT_AFTER)
        else:
            self._kill()
            statement.release(Fault.CUT_BEFORE)

    def answered(self, statement: HeldStatement) -> None:
        """Kill, before the answer is handed on."""
        if self.after and self._strikes(statement):
            self._kill()

    def _strikes(self, statement: HeldStatement) -> bool:
        return bool(self.statement) and not self.struck and statement.sql.startswith(self.statement)

    def _kill(self) -> None:
        self.struck.append(self.worker)
        self.worker.stop("immediate")


@dataclass
class Client:
    """Sends commands one after the other, and records them."""

    sender: Sender
    recorder: Recorder
    processes: Iterator[int] = field(default_factory=count)

    async def send(self, f: str, **value: Any) -> Observation:
        """Send it once; each command may be another client's."""
        process = next(self.processes)
        self.recorder.invoke(process, f, value)
        seen = await self.sender.send(Invocation(f, value))
        self.recorder.respond(process, seen.kind, dict(seen.value))
        return seen

    async def answer(self, f: str, **value: Any) -> Observation:
        """Send it until there is a definite answer."""
        seen = await self.send(f, **value)
        async with asyncio.timeout(SETTLED_S):
            while seen.kind == "unknown":
                await asyncio.sleep(0.05)
                seen = await self.send(f, **value)
        return seen


@pytest.fixture
def cluster() -> Iterator[CitusCluster]:
    """Servers that do not know each other yet."""
    with citus_cluster(known=False) as made:
        yield made


@asynccontextmanager
async def behind_gates(
    cluster: CitusCluster, history: Path
) -> AsyncIterator[tuple[Sequence[Killing], Client]]:
    """The service on a cluster whose coordinator reaches each worker by a gate."""
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(Gate.open(dsn)) for dsn in cluster.worker_dsns]
        await asyncio.to_thread(_prepare, cluster, gates)
        pool = await stack.enter_async_context(make_pool(Settings(database_url=cluster.dsn)))
        struck: list[EmbeddedPostgres] = []
        killing = [Killing(worker, struck=struck) for worker in cluster.workers]
        for gate, each in zip(gates, killing, strict=True):
            gate.observer = each
        recorder = stack.enter_context(Recorder(history, spec=Payments.name))
        yield killing, Client(application_client(postgres_store(pool)), recorder)


def _prepare(cluster: CitusCluster, gates: Sequence[Gate]) -> None:
    cluster.join([int(str(conninfo_to_dict(gate.tcp_dsn)["port"])) for gate in gates])
    migrate(cluster.dsn)
    distribute(cluster.dsn, session(Settings()))


async def strike(
    cluster: CitusCluster, history: Path, command: str, statement: str, *, after: bool, planted: bool = False
) -> tuple[Sequence[Observation], Sequence[Operation], str]:
    """Kill a worker at a statement of the command's commit, and start it again.

    Returns:
        The first and the last answer to the command, the history up to a last look, and what the audit finds.
    """
    async with behind_gates(cluster, history) as (killing, client):
        payment = str(uuid4())
        commands = {
            "create": {"payment": payment, "amount": 500},
            "authorize": {"payment": payment, "window": 600_000_000},
            "capture": {"payment": payment, "key": "k1", "amount": 500},
        }
        answers: list[Observation] = []
        for name, value in commands.items():
            if name == command:
                for each in killing:
                    each.statement, each.after = statement, after
                answers.append(await client.send(name, **value))
                (struck,) = killing[0].struck
                await asyncio.to_thread(struck.start)
            seen = await client.answer(name, **value)
            if name == command:
                answers.append(seen)
        if planted:
            for dsn in cluster.worker_dsns:
                await asyncio.to_thread(lose, dsn)
        await client.answer("capture", payment=payment, key="k2", amount=500)
        await client.answer("read", payment=payment)
        await client.answer("attempts", payment=payment)
        found = await asyncio.to_thread(audit, cluster.dsn)
        return answers, client.recorder.history().operations, found.verdict


def lose(worker_dsn: str) -> None:
    """On a worker, what was captured is authorized again, and its attempt is gone."""
    with psycopg.connect(worker_dsn, autocommit=True, options=ON_SHARDS) as connection:
        for (shard,) in connection.execute(SHARDS).fetchall():
            statement = UNCAPTURE if shard.startswith("payments") else "DELETE FROM {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(shard)))


def judged(operations: Sequence[Operation]) -> Verdict:
    return check(Payments(MAX_STORED_REFUSALS), operations, budget_seconds=60.0).verdict


@pytest.mark.invariant("I1", "I3", "I7")
@pytest.mark.parametrize(("statement", "after"), STEPS)
def test_a_worker_that_is_killed_in_the_commit_of_a_capture(
    cluster: CitusCluster, statement: str, tmp_path: Path, *, after: bool
) -> None:
    """The client is not told of success; once the cluster has settled it, its retry finds what is so."""
    answers, operations, audited = asyncio.run(
        strike(cluster, tmp_path / "history.jsonl", "capture", statement, after=after)
    )
    first, last = answers
    assert first.kind == "unknown"
    assert (last.value["outcome"], last.value["replayed"]) == ("captured", statement == COMMIT_PREPARED)
    assert judged(operations) == "holds"
    assert audited == "holds"


@pytest.mark.invariant("I7")
@pytest.mark.parametrize(("statement", "after"), STEPS)
def test_one_of_two_workers_that_is_killed_in_the_commit_of_a_creation(
    cluster: CitusCluster, statement: str, tmp_path: Path, *, after: bool
) -> None:
    """A creation is prepared on both workers: its event's row is passed by way of each."""
    answers, operations, audited = asyncio.run(
        strike(cluster, tmp_path / "history.jsonl", "create", statement, after=after)
    )
    assert answers[0].kind == "unknown"
    assert judged(operations) == "holds"
    assert audited == "holds"


def test_a_capture_that_is_lost_after_all_is_found(cluster: CitusCluster, tmp_path: Path) -> None:
    """The same check, on a cluster that forgets the capture of which it has told."""
    _, operations, _ = asyncio.run(
        strike(cluster, tmp_path / "history.jsonl", "capture", COMMIT_PREPARED, after=True, planted=True)
    )
    assert judged(operations) == "violated"


def test_what_is_committed_in_two_phases(cluster: CitusCluster, tmp_path: Path) -> None:
    """A capture is prepared on its one worker, a creation on both, what writes nothing on none."""

    async def seen() -> dict[str, list[list[str]]]:
        found: dict[str, list[list[str]]] = {}
        async with behind_gates(cluster, tmp_path / "history.jsonl") as (killing, client):
            payment = str(uuid4())
            for name, f, value in (
                ("create", "create", {"amount": 500}),
                ("authorize", "authorize", {"window": 600_000_000}),
                ("capture", "capture", {"key": "k1", "amount": 500}),
                ("repeated", "capture", {"key": "k1", "amount": 500}),
                ("refused", "capture", {"key": "k2", "amount": 500}),
                ("read", "read", {}),
            ):
                for each in killing:
                    each.ends.clear()
                await client.answer(f, payment=payment, **value)
                found[name] = sorted([*each.ends] for each in killing)
        return found

    two_phases = [PREPARE, COMMIT_PREPARED]
    assert asyncio.run(seen()) == {
        "create": [two_phases, two_phases],
        "authorize": [[], two_phases],
        "capture": [[], two_phases],
        "repeated": [[], [COMMIT]],
        "refused": [[], two_phases],
        "read": [[], []],
    }
