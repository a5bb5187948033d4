"""The sweep of somebody else's service: run to its end in each of its ways, and told of where it fails."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from payments_verify.binding import Sweep, default_text, parse
from payments_verify.payments.service.under_test import ServiceUnderTest, SweepError
from payments_verify.systems import sweeps
from payments_verify.systems.kept_http import secrets_of
from payments_verify.systems.sweeps import open_sweep
from pgweave.embedded import EmbeddedPostgres
from tests.support.loopback import DIRECT

LIMIT_S = 30.0


def answering(status: int) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _request: httpx.Response(status, text="too late"))


async def leave_the_clock(_now: int) -> None:
    return None


async def swept(sweep: Sweep, dsn: str | None = None, transport: Any = None) -> None:
    """Run the sweep until nothing is left."""
    async with (
        asyncio.timeout(LIMIT_S),
        httpx.AsyncClient(transport=transport or answering(200), base_url="http://service") as http,
        AsyncExitStack() as stack,
    ):
        batch = await open_sweep(sweep, http, dsn, stack, {"DATABASE_URL": dsn or ""})
        assert batch is not None
        await ServiceUnderTest("theirs", (), leave_the_clock, batch).sweep()


def test_a_sweep_by_sql_ends(postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE swept (at timestamptz)")
        try:
            asyncio.run(swept(Sweep(sql="INSERT INTO swept VALUES (now())"), dsn))
            assert connection.execute("SELECT count(*) FROM swept").fetchone() == (1,)
        finally:
            connection.execute("DROP TABLE swept")


def test_a_sweep_by_request_or_by_a_command_ends() -> None:
    asyncio.run(swept(Sweep(request="POST /sweep")))
    asyncio.run(swept(Sweep(command='test "$DATABASE_URL" = postgresql://theirs'), "postgresql://theirs"))


def test_a_request_that_sweeps_has_a_body_and_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_MINE", "{secret}")
    text = default_text().replace(
        'command = "payments-core sweep"',
        'request = "POST /rpc"\nbody = { method = "sweep", params = { all = true } }\n'
        'headers = { Authorization = "Bearer ${OF_MINE}" }',
    )
    binding = parse(text, "mine.toml")
    assert binding.sweep is not None
    sent: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    asyncio.run(swept(binding.sweep, transport=httpx.MockTransport(answered)))
    request = sent[0]
    assert (request.method, request.url.path) == ("POST", "/rpc")
    assert json.loads(request.content) == {"method": "sweep", "params": {"all": True}}
    assert request.headers["Authorization"] == "Bearer {secret}"
    assert secrets_of(binding) == {"{secret}": "OF_MINE"}


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        (Sweep(request="POST /sweep"), "POST /sweep answered 500: too late"),
        (Sweep(command="echo no such table; exit 3"), "ended with 3: no such table"),
    ],
)
def test_a_sweep_that_fails_says_how(sweep: Sweep, says: str) -> None:
    with pytest.raises(SweepError, match=says):
        asyncio.run(swept(sweep, "postgresql://theirs", answering(500)))


def test_without_the_database_only_a_request_can_be_sent() -> None:
    async def opened(sweep: Sweep | None) -> object:
        async with httpx.AsyncClient(**DIRECT) as http, AsyncExitStack() as stack:
            return await open_sweep(sweep, http, None, stack)

    for sweep in (None, Sweep(within=1), Sweep(sql="SELECT 1"), Sweep(command="true")):
        assert asyncio.run(opened(sweep)) is None
    assert asyncio.run(opened(Sweep(request="POST /sweep"))) is not None


def test_a_command_that_does_not_end_is_ended_with_what_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "_LIMIT_S", 1.0)
    pid = tmp_path / "pid"
    with pytest.raises(SweepError, match="did not end within 1 s"):
        asyncio.run(swept(Sweep(command=f"sleep 600 & echo $! > {pid}; wait"), "postgresql://theirs"))
    stat = Path("/proc") / pid.read_text().strip() / "stat"
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
