"""The primary is lost under load, and its standby takes its place: the service finds it by itself."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from signal import SIGTERM

import pytest
from psycopg_pool import PoolTimeout

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, session
from payments_core.infrastructure.postgres.session import SessionError
from payments_verify.nemesis.judge import Judgement, judge
from payments_verify.nemesis.settle import serve_again
from payments_verify.nemesis.window import Pace, WindowReport, history_file, play
from tests.support.failover import (
    Hosts,
    PrimaryKilled,
    PrimaryKilledAhead,
    PrimarySilent,
    end_sessions,
    two_hosts,
)

PACE = Pace(lead=0.7, tail=0.5)


async def fail_over(hosts: Hosts, kind: type[PrimaryKilled], folder: Path, number: int = 1) -> WindowReport:
    report, _ = await play(hosts, number, [kind], folder, random.Random(number), PACE)
    [incident] = report.incidents
    assert (incident.effects, incident.problem) == (1, None)
    return report


def judged(folder: Path, number: int = 1) -> Judgement:
    return judge(history_file(folder, number))


def assert_nothing_lost(found: Judgement) -> None:
    assert (found.verdict, found.problem) == ("holds", None)
    assert (found.lost, found.doubled) == (0, 0)
    assert found.acknowledged > 20


@pytest.mark.long
@pytest.mark.invariant("I1", "I7", "I9")
def test_after_the_primary_was_killed_the_service_finds_the_new_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_hosts(directly=True) as hosts:
            report = await fail_over(hosts, PrimaryKilled, tmp_path)
            assert report.incidents[0].served_again is not None

    asyncio.run(run())
    assert_nothing_lost(judged(tmp_path))


@pytest.mark.long
@pytest.mark.invariant("I1", "I7", "I9")
def test_after_the_primary_fell_silent_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_hosts() as hosts:
            report = await fail_over(hosts, PrimarySilent, tmp_path)
            assert report.incidents[0].served_again is not None
            for api in hosts.apis:  # a new process is not kept from its work either
                api.signal(SIGTERM)
                await api.ended()
                await api.start()
            async with hosts.pools() as pools:
                assert await serve_again(pools) is not None

    asyncio.run(run())
    assert_nothing_lost(judged(tmp_path))


async def refuse_standby(hosts: Hosts) -> None:
    """A service that is told nothing but the standby's address does not start, and serves not even a read."""
    dsn = hosts.cluster.service_dsn(hosts.cluster.standby_address[1])
    with pytest.raises(SessionError, match="the server is a standby"):
        await session(Settings()).require(dsn)
    async with make_pool(Settings(database_url=dsn, pool_timeout_s=1)) as pool:
        with pytest.raises(PoolTimeout):
            await pool.getconn()


@pytest.mark.long
@pytest.mark.invariant("I1", "I7", "I8", "I9")
def test_the_former_primary_returns_as_a_standby_and_takes_over_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_hosts() as hosts:
            await fail_over(hosts, PrimaryKilled, tmp_path)
            await hosts.return_former()
            await refuse_standby(hosts)
            await end_sessions(hosts)  # the first host answers, and is none to be used
            await fail_over(hosts, PrimaryKilled, tmp_path, 2)
            assert hosts.first_is_primary

    asyncio.run(run())
    assert_nothing_lost(judged(tmp_path))
    assert_nothing_lost(judged(tmp_path, 2))


@pytest.mark.long
@pytest.mark.invariant("I7")
def test_what_asynchronous_replication_loses_is_found(tmp_path: Path) -> None:
    async def run() -> None:
        async with two_hosts(is_waited_for=False) as hosts:
            await fail_over(hosts, PrimaryKilledAhead, tmp_path)

    asyncio.run(run())
    found = judged(tmp_path)
    assert found.verdict == "violated"
    assert found.lost > 0
    assert "acknowledged captures are lost" in str(found.problem)
