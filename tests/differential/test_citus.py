"""The service on a Citus cluster: it agrees with the model, and races on it are linearizable."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import session
from payments_core.infrastructure.postgres.citus import distribute
from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.audit import audit
from payments_verify.payments.exploration.scenario import explore_scenario
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.stress.check import stress_check
from payments_verify.systems import (
    gated,
    in_process,
    servers,
)
from payments_verify.systems.server import server_process
from pgweave import clock
from pgweave.drive.exploration import Effort
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.support.citus import CitusDatabase, citus_database, require_citus

pytestmark = [pytest.mark.long, pytest.mark.citus]
require_citus()

CAPTURES = 10
SEEN = ("capture -> captured", "capture -> captured (replayed)", "capture -> key_reused", "fail -> failed")
SCHEDULES = {"different-keys": 6, "same-key-twice": 6, "capture-and-sweep": 13}
"""As many as on one server: so it is seen on the workers who waits for whom."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[CitusDatabase]:
    """A cluster that has the service's tables, and a clock that can be set on each node."""
    with citus_database() as made:
        migrate(made.dsn)
        distribute(made.dsn, session(Settings()))
        clock.install(made.dsn, "payment_clock")
        yield made


def test_every_answer_is_the_models(cluster: CitusDatabase) -> None:
    result = machine_check("citus", partial(in_process, cluster.dsn), examples=80, steps=20, seed=2)
    assert result.counterexample is None
    assert result.verdict == "holds"
    assert [each for each in SEEN if each not in result.details["outcomes"]] == []
    assert result.details["comparisons"] > 800


@pytest.mark.invariant("I1")
def test_of_ten_racing_captures_one_wins(cluster: CitusDatabase) -> None:
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
def test_histories_of_races_on_two_processes_are_linearizable(cluster: CitusDatabase, tmp_path: Path) -> None:
    opened = partial(servers, cluster.dsn, 2)
    result = stress_check("citus", opened, tmp_path, rounds=15, seed=3, progress=None)
    assert result.counterexample is None
    assert result.verdict == "holds"
    assert result.details["outcomes"]["capture -> captured"] > 0
    report = audit(cluster.dsn)
    assert report.verdict == "holds", report.findings
    assert report.counts.payments > 15


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_interleaving_holds(cluster: CitusDatabase, name: str, tmp_path: Path) -> None:
    async def explore() -> Any:
        async with gated(cluster.dsn, ours=False) as service:
            return await explore_scenario(
                SCENARIOS[name], service, SourceDPOR, tmp_path, effort=Effort(rerun_every=0)
            )

    explored = asyncio.run(explore())
    assert explored.problem is None
    assert explored.verdict == "holds"
    assert explored.report.schedules == SCHEDULES[name]


def test_conformance_over_http(tmp_path: Path) -> None:
    """Levels 1 to 3, as a client meets them, on the real clock."""

    async def examined(dsn: str) -> int:
        async with server_process(dsn) as url:
            return await asyncio.to_thread(conformance, tmp_path, "--url", url)

    with citus_database() as made:
        migrate(made.dsn)
        distribute(made.dsn, session(Settings()))
        assert asyncio.run(examined(made.dsn)) == 0
    assert json.loads((tmp_path / "report.json").read_bytes())["level"] == 3


@pytest.mark.parametrize("level", [1, 4, 5])
def test_conformance_by_command(cluster: CitusDatabase, level: int, tmp_path: Path) -> None:
    """The harness makes databases on the cluster, and moves the clock of each node."""
    python = sys.executable
    serve = f"{python} -m payments_core migrate --distribute citus && exec {python} -m payments_core serve"
    options = ["--server", cluster.dsn, "--command", f"{serve} --port $PORT"]
    assert conformance(tmp_path, *options, "--from", str(level), "--level", str(level)) == 0
    levels = json.loads((tmp_path / "report.json").read_bytes())["levels"]
    assert levels[level - 1]["verdict"] == "holds"
    assert levels[level - 1]["cases"] > 0


def conformance(folder: Path, *options: str) -> int:
    """Examine as the command line does, and keep the report; the exit code."""
    command = [sys.executable, "-m", "payments_verify", "conformance", *options, "--quick", "--json"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # of the binding's sweep
    with (folder / "report.json").open("wb") as report:
        return subprocess.run(
            [*command, "--output", str(folder)], stdout=report, check=False, env={**os.environ, "PATH": path}
        ).returncode
