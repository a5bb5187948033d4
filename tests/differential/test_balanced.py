"""Two processes behind HAProxy, as the project recommends it, restarted one after the other under load."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import httpx
import pytest

from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.http import HttpPool
from payments_verify.nemesis.judge import judge
from payments_verify.nemesis.window import Pace, WindowReport, history_file, play
from tests.support.haproxy import haproxy
from tests.support.loopback import DIRECT
from tests.support.postgres import Database, chosen_bin_dir
from tests.support.processes import serving

REQUEST_LIMIT_S = 20.0
CLIENTS = 8
DRAINED, UNDRAINED = "2", "0"


class Balanced(Deployment):
    """Its clients reach both processes by way of the balancer."""

    balancer: str

    @asynccontextmanager
    async def pools(self) -> AsyncIterator[tuple[HttpPool, ...]]:
        """Connections to the balancer."""
        async with HttpPool.of(self.balancer, self.token, REQUEST_LIMIT_S) as pool:
            yield (pool,)


class RollingRestart(Fault):
    """Each process in turn ends and is started again."""

    name = "rolling restart"
    about = "each process is sent a signal, and started again once it has ended, one after the other"
    side = "service"
    ending: Signals = SIGTERM

    async def inject(self) -> None:
        """Restart them."""
        for api in self.deployment.apis:
            api.signal(self.ending)
            await api.ended()
            await api.start()
            await asyncio.sleep(1)  # the balancer sees that it is ready
            self.effects += 1


class Killed(RollingRestart):
    """The same without a word."""

    ending = SIGKILL


class RestartedUntilItFails(RollingRestart):
    """The same, until a request fails: not each restart meets one."""

    most = 12

    async def inject(self) -> None:
        """Restart them, again and again."""
        while self.effects < self.most and not self._failed():
            await super().inject()

    def _failed(self) -> bool:
        assert self.deployment.load is not None
        tally = self.deployment.load.tally
        return tally.unknown > tally.disconnects


async def restarted(kind: type[Fault], folder: Path, drain_s: str = DRAINED) -> WindowReport:
    async with Balanced.open(chosen_bin_dir(), variables={"PAYMENTS_DRAIN_S": drain_s}) as deployment:
        one, two = deployment.apis
        with haproxy(one.url, two.url) as deployment.balancer:
            report, _ = await play(deployment, 1, [kind], folder, random.Random(1), Pace(tail=0.5))
            return report


def failed(history: Path) -> list[str]:
    """Responses of requests that their client waited for, and that were no answer or a 5xx."""
    lines = map(json.loads, history.read_text().splitlines()[1:])
    unknown = [line for line in lines if line["type"] == "unknown"]
    return [f"{line['f']}: {line['value']}" for line in unknown if line["value"]["error"] != "disconnected"]


async def answers_while(balancer: str, process: asyncio.Future[int]) -> Counter[int | str]:
    """What clients are answered until a process has ended."""
    answers: Counter[int | str] = Counter()
    async with httpx.AsyncClient(base_url=balancer, timeout=REQUEST_LIMIT_S, **DIRECT) as http:

        async def work() -> None:
            while not process.done():
                try:
                    answer: int | str = (await http.post("/payments", json={"amount_cents": 1})).status_code
                except httpx.HTTPError as error:
                    answer = repr(error)
                answers[answer] += 1

        await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return answers


def test_a_process_that_drains_fails_no_request(database: Database, tmp_path: Path) -> None:
    told = {"DATABASE_URL": database.dsn, "PAYMENTS_DRAIN_S": DRAINED}

    async def run(balancer: str, stop: Callable[[], int]) -> Counter[int | str]:
        return await answers_while(balancer, asyncio.get_running_loop().run_in_executor(None, stop))

    with (
        serving(tmp_path, **told) as one,
        serving(tmp_path, **told) as two,
        haproxy(one.url, two.url) as balancer,
    ):
        answers = asyncio.run(run(balancer, one.stop))
    assert set(answers) == {201}
    assert answers[201] > CLIENTS


@pytest.mark.long
@pytest.mark.invariant("I1", "I7", "I9")
def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    report = asyncio.run(restarted(RollingRestart, tmp_path))
    assert [(each.effects, each.problem) for each in report.incidents] == [(2, None)]
    assert failed(history_file(tmp_path, 1)) == []
    found = judge(history_file(tmp_path, 1))
    assert (found.verdict, found.problem) == ("holds", None)
    assert found.acknowledged > 100


@pytest.mark.long
def test_without_draining_some_fail(tmp_path: Path) -> None:
    asyncio.run(restarted(RestartedUntilItFails, tmp_path, UNDRAINED))
    assert failed(history_file(tmp_path, 1)) != []
    assert judge(history_file(tmp_path, 1)).verdict == "holds"  # a client that repeats it loses nothing


@pytest.mark.long
def test_processes_that_end_without_a_word_fail_some(tmp_path: Path) -> None:
    asyncio.run(restarted(Killed, tmp_path))
    assert failed(history_file(tmp_path, 1)) != []
