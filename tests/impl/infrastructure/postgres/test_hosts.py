"""Several hosts in one connection string: one that is lost, or silent, keeps the service from nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import PoolTimeout

from payments_core.domain.values import Amount
from payments_core.entrypoints import wiring
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres import connection as connections
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.hosts import each_host, first_of
from payments_core.infrastructure.postgres.migrate import known, migrate, pending
from payments_core.infrastructure.postgres.session import Session, SessionError, parameters
from payments_verify.nemesis.network import Network
from pgweave.loopback import free_port
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

LIMIT_S = 60
ENDLESS_S = 600
HOST = "127.0.0.1"


def port_of(database: Database) -> int:
    return int(conninfo_to_dict(database.dsn)["port"] or 0)


def by_hosts(database: Database, *ports: int, **more: Any) -> str:
    hosts, listed = ",".join([HOST] * len(ports)), ",".join(map(str, ports))
    return make_conninfo(database.dsn, host=hosts, port=listed, **more)


@asynccontextmanager
async def silent(database: Database) -> AsyncIterator[int]:
    """The port of a host whose packets are dropped."""
    async with Network.between((HOST, port_of(database))) as network:
        await network.drop_packets()
        yield network.port


@pytest.mark.invariant("I9")
async def test_a_silent_host_keeps_the_service_from_nothing(database: Database) -> None:
    async with asyncio.timeout(LIMIT_S), silent(database) as lost:
        dsn = by_hosts(database, lost, port_of(database), connect_timeout=ENDLESS_S)
        settings = Settings(database_url=dsn, pool_min=1, pool_max=4)
        async with make_pool(settings) as pool, make_pool(settings, size=1) as own:
            store = postgres_store(pool, settings, own=own)
            await asyncio.gather(*(store.create(uuid4(), Amount(500)) for _ in range(20)))
            assert await store.ready()


@pytest.mark.invariant("I9")
async def test_who_gives_up_on_a_lost_host_waits_no_longer_than_the_connection_lasts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request to cancel the statement goes to the same host, and is never answered."""

    async def unanswered(_connection: psycopg.AsyncConnection, *, timeout: float) -> None:  # noqa: ASYNC109
        await asyncio.sleep(timeout)

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", unanswered)
    monkeypatch.setattr(connections, "_PATIENCE_S", ENDLESS_S)
    async with asyncio.timeout(LIMIT_S), Network.between((HOST, port_of(database))) as network:
        dsn = make_conninfo(database.dsn, port=network.port, sslmode="disable", tcp_user_timeout=1_000)
        async with make_pool(Settings(database_url=dsn, pool_min=1, pool_max=1)) as pool:
            store = postgres_store(pool)
            await store.create(uuid4(), Amount(500))
            await network.drop_packets()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await store.create(uuid4(), Amount(500))


async def test_the_service_starts_beside_a_silent_host(database: Database) -> None:
    async with asyncio.timeout(LIMIT_S), silent(database) as lost:
        dsn = by_hosts(database, lost, port_of(database), connect_timeout=1)  # psycopg's least is 2 s
        async with await Connection.connect(dsn) as connection:
            assert connection.info.port == port_of(database)


@pytest.mark.parametrize("form", ["a URL", "key=value"])
def test_migrate_takes_several_hosts(empty_database: Database, form: str) -> None:
    closed = free_port()
    dsn = by_hosts(empty_database, closed, port_of(empty_database), target_session_attrs="read-write")
    if form == "a URL":
        own = conninfo_to_dict(empty_database.dsn)
        address = f"{HOST}:{closed},{HOST}:{own['port']}"
        dsn = f"postgresql://{own['user']}:{own['password']}@{address}/{own['dbname']}"
    assert migrate(dsn) == known()
    assert pending(dsn) == []


def test_of_several_hosts_the_primary_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "target_session_attrs" not in parameters("postgresql://one/payments")
    several = "postgresql://one,two/payments"
    assert parameters(several)["target_session_attrs"] == "read-write"
    assert "target_session_attrs" not in parameters(f"{several}?target_session_attrs=any")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert "target_session_attrs" not in parameters(several)


def test_variables_of_libpq_complete_the_connection_string(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PGAPPNAME", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING"):
        monkeypatch.setenv(variable, "7")
    chosen = session(Settings()).connection_parameters("host=one")
    assert not {"application_name", "connect_timeout"} & chosen.keys()
    assert {"client_encoding", "keepalives_idle"} <= chosen.keys()


def test_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert each_host("host=one,two port=1,2") == [{"host": "one", "port": "1"}, {"host": "two", "port": "2"}]
    assert each_host("postgresql://one,two:7/payments") == [
        {"host": "one", "port": ""},
        {"host": "two", "port": "7"},
    ]
    assert each_host("host=one,two port=7") == [{"host": "one", "port": "7"}, {"host": "two", "port": "7"}]
    assert each_host("hostaddr=::1,127.0.0.1") == [{"hostaddr": "::1"}, {"hostaddr": "127.0.0.1"}]
    for not_split in ("", "host=one", "host=one,two port=1,2,3", "host=one port=1,2"):
        assert each_host(not_split) == [{}]
    monkeypatch.setenv("PGHOST", "three,four")
    assert each_host("dbname=payments") == [{"host": "three"}, {"host": "four"}]


@pytest.mark.invariant("I8")
async def test_a_standby_serves_not_even_reads(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says that it is one; a real one is asked in the tests of the failover."""
    monkeypatch.setattr(sql, "SESSION_STATE", "SELECT 'origin', 'on', 'on'")
    settings = Settings(database_url=database.dsn, pool_timeout_s=0.5)
    with pytest.raises(SessionError, match="the server is a standby"):
        await session(settings).require(database.dsn)
    async with make_pool(settings) as pool:
        with pytest.raises(PoolTimeout):
            await postgres_store(pool).get(uuid4())


async def test_where_no_host_can_be_used_each_is_named(database: Database) -> None:
    ports = free_port(), free_port()
    with pytest.raises(psycopg.OperationalError) as refused:
        await Connection.connect(by_hosts(database, *ports))
    assert all(str(port) in str(refused.value) for port in ports)


class Opened:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


Opening = Callable[[], Coroutine[Any, Any, Opened]]


async def test_of_two_that_open_at_once_one_is_closed() -> None:
    opened, both = {name: Opened(name) for name in "ab"}, asyncio.Event()

    def opening(name: str) -> Opening:
        async def begin() -> Opened:
            if name == "b":
                both.set()
            await both.wait()
            return opened[name]

        return begin

    first = await first_of([opening("a"), opening("b")])
    assert first is opened["a"]
    assert (opened["a"].is_closed, opened["b"].is_closed) == (False, True)


async def test_who_gives_up_leaves_nothing_running() -> None:
    ended: list[str] = []

    def opening(name: str) -> Opening:
        async def begin() -> Opened:
            try:
                await asyncio.sleep(ENDLESS_S)
            finally:
                ended.append(name)
            raise AssertionError

        return begin

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await first_of([opening("a"), opening("b")])
    assert sorted(ended) == ["a", "b"]


async def test_a_server_that_says_nothing_once_it_is_connected_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep the pool's workers, of which there are three."""
    prepare, silent_ones = Session.prepare, [None] * 3

    async def silent_at_first(self: Session, connection: Connection) -> None:
        if silent_ones:
            silent_ones.pop()
            await connection.execute("SELECT pg_sleep(600)")
        await prepare(self, connection)

    monkeypatch.setattr(Session, "prepare", silent_at_first)
    monkeypatch.setattr(wiring, "_PREPARE_S", 0.2)
    settings = Settings(database_url=database.dsn, pool_min=3, pool_max=3, pool_timeout_s=LIMIT_S)
    async with asyncio.timeout(LIMIT_S), make_pool(settings) as pool:
        await postgres_store(pool).create(uuid4(), Amount(500))
    assert not silent_ones
