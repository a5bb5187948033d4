"""Clients that hang up at each statement, and while they wait: afterwards every connection is of use."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from payments_core.entrypoints.http.limits import Admission
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.contention import Contention
from payments_core.infrastructure.postgres.pool import Pool
from payments_core.infrastructure.postgres.store import _Lock
from payments_verify.payments.faults import disconnects
from payments_verify.payments.faults.crowd import hang_up_in_a_crowd
from payments_verify.payments.faults.disconnects import (
    CROWD,
    IDLE_CONNECTIONS,
    PART_OF_A_CROWD,
    DisconnectReport,
    explore_disconnects,
)
from payments_verify.payments.faults.pool_probe import PoolProbe
from payments_verify.payments.faults.turns import fail_in_a_crowd
from payments_verify.systems import gated
from payments_verify.systems.whole.checks import whole_checks
from tests.support.exploring import run

pytestmark = pytest.mark.invariant("I9")

SERVE = f"{sys.executable} -m payments_core serve --port $PORT"
STATEMENTS = {
    "create": 1,
    "authorize": 5,
    "capture": 7,
    "refused capture": 6,
    "repeated capture": 5,
    "void": 5,
    "read": 1,
    "attempts": 2,
}
"""How many statements each command has: it is given up before each."""


async def not_asked() -> str | None:
    """A whole process is made to go wrong in tests of its own."""
    return None


def explored(dsn: str, command: str | None = None) -> list[DisconnectReport]:
    found: list[DisconnectReport] = []

    async def main() -> None:
        async with gated(dsn, command) as service:
            checked = dict.fromkeys(service.whole_checks, not_asked)
            await explore_disconnects(replace(service, whole_checks=checked), found.append)

    run(main())
    return found


@pytest.mark.parametrize("command", [None, SERVE], ids=["in process", "a server process"])
def test_every_connection_is_of_use_after_each(dsn: str, command: str | None) -> None:
    found = explored(dsn, command)
    if command is None:
        found, after = found[: len(STATEMENTS)], found[len(STATEMENTS) :]
        assert [each.command for each in after] == [
            CROWD,
            PART_OF_A_CROWD,
            IDLE_CONNECTIONS,
            *whole_checks("no database"),
        ]
        assert {each.verdict for each in after} == {"holds"}
    assert [(each.command, each.verdict, each.violation) for each in found] == [
        (name, "holds", None) for name in STATEMENTS
    ]
    for each in found:
        # It is given up while it waits for a connection, too; and where it locks, while it waits for that.
        waits = 2 if STATEMENTS[each.command] > 2 else 1
        assert each.places == STATEMENTS[each.command] + waits


@pytest.mark.parametrize("bug", ["place-lost-when-cancelled", "admission-lost-when-cancelled"])
def test_room_that_is_lost_is_found(dsn: str, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cancelled takes the place with it, where requests wait or where they are admitted."""
    owner, name = {
        "place-lost-when-cancelled": (Contention, "_waiting"),
        "admission-lost-when-cancelled": (Admission, "_admitted"),
    }[bug]

    def get(self: object) -> int:
        return int(vars(self).get(name, 0))

    def put(self: object, value: int) -> None:
        task = asyncio.current_task()
        if not (value < get(self) and task is not None and task.cancelling()):
            vars(self)[name] = value

    monkeypatch.setattr(owner, name, property(get, put), raising=False)

    async def main() -> str | None:
        async with gated(dsn) as service:
            return await hang_up_in_a_crowd(service)

    assert "clients hung up while they waited for one payment" in str(run(main()))


def test_a_turn_that_a_refused_request_keeps_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = _Lock.__aexit__

    async def keep(lock: _Lock, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            object.__setattr__(lock, "_turn", asyncio.Semaphore())
        await leave(lock, kind, error, trace)

    monkeypatch.setattr(_Lock, "__aexit__", keep)

    async def main() -> str | None:
        async with gated(dsn) as service:
            return await fail_in_a_crowd(service)

    told = str(run(main()))
    assert told.startswith("I9: refusals of one payment were answered while others waited for it; of 32")


@pytest.mark.parametrize("bug", ["not replaced", "lent"])
def test_connections_that_died_unused_are_found(dsn: str, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(_pool: Pool, connection: Connection) -> None:
        connection.abandon()

    if bug == "lent":
        monkeypatch.setattr(Connection, "has_ended", lambda connection: connection.closed)
    else:
        monkeypatch.setattr(Pool, "_discard", forget)

    async def main() -> str | None:
        async with gated(dsn) as service:
            probe = PoolProbe(service, limit_s=1.0)
            await probe.measure()
            return await probe.lose_idle()

    assert str(run(main())).startswith("I9: ")


def test_one_that_is_lost_once_is_found_there(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give_back = Pool.give_back
    lost: list[Connection] = []

    async def lose_one(pool: Pool, connection: Connection) -> None:
        task = asyncio.current_task()
        if not lost and task is not None and task.cancelling() and connection.pgconn.transaction_status:
            lost.append(connection)
            connection.abandon()
        else:
            await give_back(pool, connection)

    monkeypatch.setattr(Pool, "give_back", lose_one)
    monkeypatch.setattr(disconnects, "PoolProbe", partial(PoolProbe, limit_s=1.0))
    *before, last = explored(dsn)
    assert {each.verdict for each in before} == {"holds"}
    assert (last.verdict, len(lost)) == ("violated", 1)
    told = str(last.as_json()["problem"])
    assert f"a client hung up in {last.command} at statement" in told
    assert re.search(r"I9: of 16 connections only \d+ can be used at once: the rest is lost", told)


def test_one_that_stays_inside_its_transaction_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def as_it_is(pool: Pool, connection: Connection) -> None:
        pool.in_use -= 1
        await pool.putconn(connection)

    async def nothing(_pool: Pool, _connection: Connection) -> None: ...

    monkeypatch.setattr(Pool, "give_back", as_it_is)
    monkeypatch.setattr(Pool, "_reset_connection", nothing)
    monkeypatch.setattr(disconnects, "PoolProbe", partial(PoolProbe, limit_s=1.0))
    assert explored(dsn)[-1].verdict == "violated"
