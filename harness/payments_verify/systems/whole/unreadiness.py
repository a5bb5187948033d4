"""Every reason for which the service is not ready, one after the other: each is seen, and seen to be over."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from time import monotonic
from typing import TypeAlias
from unittest.mock import patch
from uuid import uuid4

import psycopg

from payments_verify.patience import comes_true
from payments_verify.payments.faults.pool_probe import Stops, stops
from payments_verify.surface.readiness import (
    LIMIT_S,
    ready_all_the_same,
    runs_all_the_same,
    unready_for_good,
)
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.given_up import left_open, nothing_collected
from payments_verify.systems.whole.probes import wrong_probes
from pgweave.gate import Gate, HeldStatement

_ROLE = "payments_app"
_ONE = {"pool_min": 1, "pool_max": 1}
_MOST = 2
"""As many as there may be: one is that of requests."""
_SWEEP_S = 0.05
_AGAIN_S = 1.0
_DRAIN_S = 0.3
_LATER_S = 7_200.0
_REFUSED_EVERY_S = 0.002
_RIGHTS = (
    *("SELECT ON payments", "INSERT ON payments", "UPDATE (state) ON payments"),
    *("SELECT ON capture_attempts", "INSERT ON capture_attempts", "INSERT ON payment_events"),
    *("EXECUTE ON FUNCTION payment_clock()", "USAGE ON LANGUAGE plpgsql", "SELECT ON _yoyo_migration"),
)
_UNKNOWN = 404
_OF_A_POOL = re.compile(r"pool-(\d+)-(worker|scheduler).*")
_RENAME_MIGRATION = "UPDATE _yoyo_migration SET migration_id = {} WHERE migration_id LIKE '0005%'"
_OF_EVERYBODY = ("EXECUTE", "USAGE")
_SESSIONS = "datname = current_database() AND application_name = 'payments-core'"
_END_SESSIONS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_SESSIONS}"  # noqa: S608

Reason: TypeAlias = Callable[[Gate], AbstractAsyncContextManager[None]]
"""Keeps a service behind a gate from being ready for as long as the block runs."""


async def wrong_readiness(dsn: str) -> str | None:
    """Let each reason come and go, and each task end; what is not said of it, if anything is not.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    wrong = await _of_the_database(dsn) or await _of_tasks(dsn) or await wrong_standing_sweeper(dsn)
    return wrong or await wrong_probes(dsn) or await _of_the_end(dsn)


async def _of_the_database(dsn: str) -> str | None:
    """One reason begins before the one before it ends: no answer that it was ready is fresh then."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        reasons: Mapping[str, Reason] = {
            name: partial(_in_sql, connection, *change) for name, change in _changes(connection).items()
        } | {"the database does not answer": _silent, "the database takes no connections": _unreachable}
        async with (
            Gate.open(dsn) as gate,
            whole_application(gate.socket_dsn, **_ONE) as app,
            AsyncExitStack() as all_,
        ):
            all_.enter_context(nothing_collected())
            if (wrong := await unready_for_good(app.http, "what comes before all")) is not None:
                return wrong
            before = await all_.enter_async_context(AsyncExitStack())
            for name, reason in reasons.items():
                now = await all_.enter_async_context(AsyncExitStack())
                await now.enter_async_context(reason(gate))
                await before.aclose()
                before = now
                wrong = await ready_all_the_same(app.http, name)
                if (wrong := wrong or await left_open(_MOST, name, gate)) is not None:
                    return wrong
            await before.aclose()
            wrong = await unready_for_good(app.http, name)
            return wrong or await left_open(_MOST, f"{name}: that is over", gate)


def _changes(connection: psycopg.Connection) -> Mapping[str, tuple[str, str]]:
    """What is wrong in the database, and the statements that make it so, and right again.

    Those that follow each other are of different things: they overlap.
    """
    database = connection.info.dbname
    changes = {
        "the last migration is missing": (
            _RENAME_MIGRATION.format("migration_id || '?'"),
            _RENAME_MIGRATION.format("rtrim(migration_id, '?')"),
        ),
        "nothing can be written": (
            f"ALTER DATABASE {database} SET default_transaction_read_only = on; {_END_SESSIONS}",
            f"ALTER DATABASE {database} RESET default_transaction_read_only; {_END_SESSIONS}",
        ),
        "the migrations are missing": (
            "ALTER TABLE _yoyo_migration RENAME TO hidden",
            "ALTER TABLE hidden RENAME TO _yoyo_migration",
        ),
    }
    for right in _RIGHTS:
        whose = "PUBLIC" if right.startswith(_OF_EVERYBODY) else _ROLE
        changes[f"the right {right} is missing"] = (
            f"REVOKE {right} FROM {whose}",
            f"GRANT {right} TO {whose}",
        )
    return changes


@asynccontextmanager
async def _in_sql(connection: psycopg.Connection, begin: str, end: str, _gate: Gate) -> AsyncIterator[None]:
    for each in begin.split("; "):
        await asyncio.to_thread(connection.execute, each.encode())
    try:
        yield
    finally:
        for each in end.split("; "):
            await asyncio.to_thread(connection.execute, each.encode())


@asynccontextmanager
async def _silent(gate: Gate) -> AsyncIterator[None]:
    async with stops(gate):
        yield


@asynccontextmanager
async def _unreachable(gate: Gate) -> AsyncIterator[None]:
    """Each connection is cut, and each that is tried is refused."""

    async def refuse() -> None:
        while True:
            gate.refuses_next = True
            for session in list(gate.sessions):
                session.cut()
            await asyncio.sleep(_REFUSED_EVERY_S)

    refusing = asyncio.create_task(refuse())
    try:
        yield
    finally:
        refusing.cancel()
        await asyncio.wait([refusing])
        gate.refuses_next = False


async def _of_tasks(dsn: str) -> str | None:
    """What runs beside requests ends, one kind of task in each application: from then on it is not ready."""
    async with whole_application(dsn, sweep_interval_s=_SWEEP_S) as app:
        kinds = sorted(_by_kind(app.tasks))
    for kind in kinds:
        async with whole_application(dsn, sweep_interval_s=_SWEEP_S) as app:
            wrong = await unready_for_good(app.http, "what comes before all")
            await end(_by_kind(app.tasks)[kind])
            told = f"the {kind} has ended"
            wrong = (
                wrong or await ready_all_the_same(app.http, told) or await runs_all_the_same(app.http, told)
            )
        if wrong is not None:
            return wrong
    return None


async def end(task: asyncio.Task[object]) -> None:
    """Cancel a task until it has ended: a wait of Python 3.11's that ends as it is cancelled goes on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)


def _by_kind(tasks: Sequence[asyncio.Task[object]]) -> Mapping[str, asyncio.Task[object]]:
    """One task of each kind: of each pool a worker and the scheduler, and the sweeper."""
    named = {each.get_name(): each for each in tasks}
    matches = {name: match for name in named if (match := _OF_A_POOL.fullmatch(name))}
    pools = sorted({int(match[1]) for match in matches.values()})
    kinds = {
        f"{match[2]} of pool {pools.index(int(match[1]))}": named[name] for name, match in matches.items()
    }
    kinds["sweeper"] = named["sweeper"]
    return kinds


class _StopsSweeps(Stops):
    """Holds the statements with which sweeps begin."""

    def held(self, statement: HeldStatement) -> None:
        if "capture_expires_at <=" in statement.sql:
            super().held(statement)
        else:
            statement.release()


async def wrong_standing_sweeper(dsn: str) -> str | None:
    """A sweeper waits for hours, and has not ended: it is not ready until it goes on."""
    limits = {"sweep_interval_s": _SWEEP_S, "request_timeout_s": _LATER_S / 2}
    async with Gate.open(dsn, bool) as gate, whole_application(gate.socket_dsn, **limits) as app:
        before, gate.observer = gate.observer, (stopped := _StopsSweeps())
        if not await comes_true(lambda: bool(stopped.held_now), LIMIT_S):
            return f"I9: no sweep has begun for {LIMIT_S:g} s"
        with patch("payments_core.entrypoints.sweeper.monotonic", lambda: monotonic() + _LATER_S):
            told = "the sweeper stands still"
            wrong = await ready_all_the_same(app.http, told) or await runs_all_the_same(app.http, told)
            gate.observer = before
            stopped.let_go()
            return wrong or await unready_for_good(app.http, told)


async def _of_the_end(dsn: str) -> str | None:
    """A process that is told to end says so, and serves for a while all the same."""
    if threading.current_thread() is not threading.main_thread():
        return None  # no signal comes here
    with _told_instead() as told:
        async with whole_application(dsn, drain_s=_DRAIN_S) as app:
            wrong = await unready_for_good(app.http, "what comes before all")
            signal.raise_signal(signal.SIGTERM)
            wrong = wrong or await ready_all_the_same(app.http, "the process was told to end")
            answer = await app.http.request("GET", f"/payments/{uuid4()}", headers={}, json=None)
            if wrong is None and answer.status_code != _UNKNOWN:
                wrong = f"I9: a process that was told to end answers {answer.status_code}, and not 404"
            if not await comes_true(lambda: bool(told), LIMIT_S):
                wrong = wrong or f"I9: a process that was told to end has not ended for {LIMIT_S:g} s"
    if len(told) > 1:  # one of them was not ours
        signal.raise_signal(signal.SIGTERM)
    return wrong


@contextmanager
def _told_instead() -> Iterator[list[int]]:
    """Note the signals that would end this process, and do not end."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
