"""The proxy hurts exactly what it is told to hurt, and nothing otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from operator import not_
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_verify.nemesis.network import COMMITTED, Link, Network
from payments_verify.patience import ask_until
from tests.support.postgres import Database

LIMIT_S = 60
Connection = psycopg.AsyncConnection[Any]


class Way:
    """A network before a database, and sessions through it and past it."""

    def __init__(self, network: Network, dsn: str) -> None:
        self.network = network
        self.dsn = dsn

    async def through(self) -> Connection:
        return await self._connect(make_conninfo(self.dsn, port=self.network.port))

    async def past(self) -> Connection:
        return await self._connect(self.dsn)

    async def _connect(self, dsn: str) -> Connection:
        return await psycopg.AsyncConnection.connect(dsn, autocommit=True, sslmode="disable")


async def numbers(connection: Connection) -> list[int]:
    return [row[0] for row in await (await connection.execute("SELECT n FROM numbers ORDER BY n")).fetchall()]


async def insert(connection: Connection, number: int) -> None:
    await connection.execute("INSERT INTO numbers VALUES (%s)", [number])


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_the_way(
    empty_database: Database, request: pytest.FixtureRequest
) -> Callable[[Callable[[Way], Coroutine[Any, Any, None]]], None]:
    """Runs a test's coroutine with a way to an empty table of numbers."""

    async def run(work: Callable[[Way], Coroutine[Any, Any, None]]) -> None:
        port = int(conninfo_to_dict(empty_database.dsn)["port"] or 0)
        async with asyncio.timeout(LIMIT_S), Network.between(("127.0.0.1", port)) as network:
            way = Way(network, empty_database.dsn)
            async with await way.past() as connection:
                await connection.execute("CREATE TABLE numbers (n integer)")
            await work(way)

    def play(work: Callable[[Way], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(run(work))

    return play


Play = Callable[[Callable[[Way], Coroutine[Any, Any, None]]], None]


def test_everything_passes(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            text = "x" * 3_000_000
            row = await (await connection.execute("SELECT %s::text", [text])).fetchone()
            assert row is not None
            assert row[0] == text
            async with connection.transaction():
                await insert(connection, 1)
            assert await numbers(connection) == [1]
        assert way.network.cuts == 0

    on_the_way(work)


@pytest.mark.parametrize("what", ["cut_requests", "halve_requests"])
def test_a_statement_that_is_cut_is_not_executed(on_the_way: Play, what: str) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            await insert(connection, 1)
            setattr(way.network, what, 1)
            with pytest.raises(psycopg.OperationalError):
                await insert(connection, 2)
        async with await way.through() as connection:
            await insert(connection, 3)
            assert await numbers(connection) == [1, 3]
        assert (way.network.cuts, getattr(way.network, what)) == (1, 0)

    on_the_way(work)


def test_where_packets_are_dropped_nothing_is_acknowledged(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        impatient = make_conninfo(way.dsn, port=way.network.port, tcp_user_timeout=500)
        connection = await psycopg.AsyncConnection.connect(impatient, autocommit=True, sslmode="disable")
        await insert(connection, 1)
        await way.network.drop_packets()
        with pytest.raises(psycopg.OperationalError):  # the system gives it up, and nobody else
            await insert(connection, 2)
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            await psycopg.AsyncConnection.connect(way.dsn, port=way.network.port, connect_timeout=2)
        async with await way.past() as other:
            assert await numbers(other) == [1]

    on_the_way(work)


def test_a_commit_that_is_not_heard_is_carried_out(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        connection = await way.through()
        await connection.execute("BEGIN")
        await insert(connection, 1)
        way.network.lose_commits = 1
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("COMMIT")
        assert connection.closed
        async with await way.through() as again:
            assert await numbers(again) == [1]
        assert (way.network.cuts, way.network.lose_commits) == (1, 0)

    on_the_way(work)


def test_other_answers_pass_while_a_commit_is_to_be_lost(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        way.network.lose_commits = 1
        async with await way.through() as connection:
            await insert(connection, 1)
            await connection.execute("BEGIN")
            await connection.execute("ROLLBACK")
            assert await numbers(connection) == [1]
        assert (way.network.cuts, way.network.lose_commits) == (0, 1)

    on_the_way(work)


def test_a_commit_is_recognized_across_two_pieces(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through():
            (link,) = way.network.links
            assert isinstance(link, Link)
            assert not link.is_commit(b"...." + COMMITTED[:5])
            assert link.is_commit(COMMITTED[5:])
            assert not link.is_commit(COMMITTED[5:])

    on_the_way(work)


def test_a_delay_keeps_the_order_even_when_it_ends(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            way.network.delay_s = 0.15
            began = time.monotonic()
            await insert(connection, 1)
            assert time.monotonic() - began >= 0.3  # there and back
            async with connection.pipeline():
                for number in range(2, 40):
                    await insert(connection, number)
                    way.network.delay_s = 0.0 if number > 10 else 0.05
            assert await numbers(connection) == list(range(1, 40))

    on_the_way(work)


def test_what_is_stalled_arrives_when_it_goes_on(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            way.network.stalled = True
            waiting = asyncio.create_task(insert(connection, 1))
            newcomer = asyncio.create_task(way.through())
            await asyncio.sleep(0.2)
            assert not waiting.done()
            assert not newcomer.done()
            way.network.resume()
            await waiting
            assert await numbers(connection) == [1]
            await (await newcomer).close()
        assert way.network.cuts == 0

    on_the_way(work)


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_nobody_is_told_of_an_end_before_all_has_arrived(on_the_way: Play, delay_s: float) -> None:
    """What was sent on a stalled or slow way arrives, though its sender has gone meanwhile."""

    async def work(way: Way) -> None:
        connection = await way.through()
        way.network.stalled, way.network.delay_s = not delay_s, delay_s

        async def linked() -> int:
            return len(way.network.links)

        waiting = asyncio.create_task(insert(connection, 1))
        await asyncio.sleep(0.1)
        await connection.close()
        waiting.cancel()
        await asyncio.sleep(0.1)
        async with await way.past() as direct:
            assert (len(way.network.links), await numbers(direct)) == (1, [])
            way.network.resume()
            assert await ask_until(partial(numbers, direct), [1].__eq__, 10.0) == [1]
            assert await ask_until(linked, not_, 10.0) == 0
        assert way.network.cuts == 0

    on_the_way(work)


def test_a_closed_way_takes_nobody(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        connection = await way.through()
        way.network.open = False
        assert way.network.cut_all() == 1
        with pytest.raises(psycopg.OperationalError):
            await insert(connection, 1)
        with pytest.raises(psycopg.OperationalError):
            await way.through()
        way.network.open = True
        await (await way.through()).close()

    on_the_way(work)


def test_dead_connections_swallow_and_new_ones_work(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        connection = await way.through()
        assert way.network.deaden() == 1
        waiting = asyncio.create_task(insert(connection, 1))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with await way.through() as other:
            await insert(other, 2)
            assert await numbers(other) == [2]
        way.network.cut_all()
        with pytest.raises(psycopg.OperationalError):
            await waiting

    on_the_way(work)


def test_a_deaf_way_still_answers(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            slow = asyncio.create_task(connection.execute("SELECT pg_sleep(0.3)"))
            other = await way.through()
            await asyncio.sleep(0.1)
            way.network.is_deaf = True
            unheard = asyncio.create_task(insert(other, 1))
            await slow
            assert not unheard.done()
            way.network.cut_all()
            with pytest.raises(psycopg.OperationalError):
                await unheard
        async with await way.past() as direct:
            assert await numbers(direct) == []

    on_the_way(work)


def test_connections_that_are_made_later_lead_elsewhere(on_the_way: Play) -> None:
    async def work(way: Way) -> None:
        async with await way.through() as connection:
            right = way.network.upstream
            way.network.upstream = ("127.0.0.1", 1)  # nobody listens there
            assert await numbers(connection) == []
            with pytest.raises(psycopg.OperationalError):
                await way.through()
            way.network.upstream = right
            await (await way.through()).close()

    on_the_way(work)
