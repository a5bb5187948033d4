"""Workers of a Dask cluster: what one process finds, on servers of their own, which they end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask
import psutil  # type: ignore[import-untyped]
import pytest
import uvloop
from distributed import Client, LocalCluster
from typer.testing import CliRunner

from lab.cli import app as lab
from payments_verify import executors
from payments_verify.cli import app
from payments_verify.executors import ExecutorError, open_executor
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import MakeProgram, gated
from pgweave.drive.exploration import Workers
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir

SCENARIO = "capture-and-sweep"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two worker processes and their scheduler, on loopback."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0, "temporary-directory": str(folder)}),
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster


def named(cluster: LocalCluster) -> str:
    return f"dask://{cluster.scheduler_address.removeprefix('tcp://')}"


def servers_of(cluster: LocalCluster) -> list[int]:
    """How many PostgreSQL servers each worker has."""
    with Client(cluster, set_as_default=False) as client:
        return sorted(client.run(postmasters).values())


def postmasters() -> int:
    return len([child for child in psutil.Process().children() if child.name() == "postgres"])


def explored(dsn: str, folder: Path, workers: Workers | None) -> ExploredScenario:
    async def run() -> ExploredScenario:
        async with gated(dsn) as service:
            return await explore_scenario(SCENARIOS[SCENARIO], service, SourceDPOR, folder, workers=workers)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def test_two_workers_find_what_one_process_finds_and_end_their_servers(
    cluster: LocalCluster, dsn: str, tmp_path: Path
) -> None:
    with open_executor(named(cluster)) as opened:
        assert opened.workers == 2
        program = partial(MakeProgram, bin_dir=chosen_bin_dir())
        together = explored(dsn, tmp_path, Workers(opened.executor, program, in_flight=4))
        assert servers_of(cluster) == [1, 1]
    assert servers_of(cluster) == [0, 0]
    alone = explored(dsn, tmp_path, None)
    assert (together.verdict, alone.verdict) == ("holds", "holds"), together.problem
    assert together.outcomes == alone.outcomes
    for count in ("schedules", "abandoned", "complete", "deepest"):
        assert getattr(together.report, count) == getattr(alone.report, count), count


def test_the_command_explores_there_and_once_more(cluster: LocalCluster) -> None:
    arguments = ["explore", "--scenario", "create-twice", "--scenario", "same-key-twice", "--json"]
    for _ in range(2):  # a cluster goes on: its workers open anew what they have closed
        done = CliRunner().invoke(app, [*arguments, "--executor", named(cluster)])
        assert done.exit_code == 0, done.output
        found = [(each["scenario"], each["schedules"]) for each in json.loads(done.stdout)]
        assert found == [("create-twice", 1), ("same-key-twice", 3)]


def test_mutants_are_tried_there(cluster: LocalCluster, tmp_path: Path) -> None:
    """The copy that a mutant is built into goes there, and what the technique says comes back."""
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    shutil.copy(ROOT / "lab" / "mutants" / "bugs" / "no-constraints.toml", catalogue)
    folders = ["--catalogue", catalogue, "--kept", tmp_path / "kept", "--output", tmp_path / "report"]
    arguments = ["mutants", *map(str, folders), "--technique", "static", "--json"]
    done = CliRunner().invoke(lab, [*arguments, "--executor", named(cluster)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["unmutated"]["cells"]["static"]["state"] == "survived"
    (mutant,) = found["mutants"]
    assert mutant["cells"]["static"]["state"] == "killed"
    assert "two successful captures" in mutant["cells"]["static"]["evidence"]


def test_what_is_sent_twice_is_done_twice(cluster: LocalCluster) -> None:
    with open_executor(named(cluster)) as opened:
        first, second = (opened.executor.submit(os.urandom, 8).result() for _ in range(2))
    assert first != second


def test_a_worker_of_another_version_is_refused(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "version", lambda _name: "99")
    with pytest.raises(ExecutorError, match="'payments-core 99 "), open_executor(named(cluster)):
        pass


def test_workers_that_end_are_no_verdict(cluster: LocalCluster) -> None:
    with (
        pytest.raises(ExecutorError, match="ended while they worked"),
        open_executor(named(cluster)) as opened,
    ):
        opened.executor.submit(os._exit, 1).result()


@pytest.mark.parametrize(
    ("options", "told"),
    [({"n_workers": 0}, "has no workers; start some: dask worker"), (None, "no Dask scheduler answers at")],
)
def test_a_cluster_that_cannot_be_used_is_refused(
    options: dict[str, Any] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "_CONNECT_LIMIT_S", 0.5)
    if options is None:
        refused = CliRunner().invoke(app, ["explore", "--executor", "dask://127.0.0.1:9"])
    else:
        with LocalCluster(**options, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
            refused = CliRunner().invoke(app, ["explore", "--executor", named(empty)])
    assert refused.exit_code == 2
    assert told in refused.stderr
