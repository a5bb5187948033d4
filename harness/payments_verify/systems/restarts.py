"""Whether a service can be two processes over one database, and be started again on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from payments_verify.binding import Binding
from payments_verify.payments.observed.observations import Invocation, Sender, UnreadableAnswerError
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems.started import started_service
from pgweave.service.command import CommandError
from pgweave.visible import clipped, one_line

TWO = "two processes over one database: what one has in its memory, and the other has not"
AGAIN = "a process that is started again on its database: what was in the memory of the one before"

_STORES_NOTHING = "the service stores nothing in the database that it was given"
_TOLD = 300
_AMOUNT, _WINDOW = 500, 60_000_000
_TABLES = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND nspname <> 'information_schema' AND nspname !~ '^(pg_|test_clock$|citus)'
"""


@dataclass(frozen=True)
class Restarts:
    """What keeps a service from being two processes, and from being started again; ``None`` if nothing does.

    Attributes:
        why_not_two: the one.
        why_not_again: the other.
    """

    why_not_two: str | None = None
    why_not_again: str | None = None

    @property
    def unchecked(self) -> Sequence[str]:
        """What is not checked for that, and why, for people."""
        found = {TWO: self.why_not_two, AGAIN: self.why_not_again}
        return [f"{what}: {why}" for what, why in found.items() if why is not None]


def restarts_of(command: str, binding: Binding, new_database: Callable[[], str]) -> Restarts:
    """Try it. What is wrong with the answers of another process is for those who examine it to see.

    A service that stores nothing in its database is one process for ever; one whose start empties its
    database has lost nothing by itself. The arguments are those of `started_service`.
    """
    processes = binding.service.processes
    declared = f"the binding says service.processes = {processes!r}"
    if processes == "one in memory":
        return Restarts(declared, declared)

    async def main() -> Restarts:
        again = await _tried(_why_not_again(command, binding, new_database()))
        if processes == "one" or again == _STORES_NOTHING:
            return Restarts(declared if processes == "one" else again, again)
        return Restarts(await _tried(_why_not_two(command, binding, new_database())), again)

    return asyncio.run(main())


async def _tried(trial: Coroutine[Any, Any, str | None]) -> str | None:
    try:
        return await trial
    except (CommandError, psycopg.Error) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        return clipped(f"the command does not come to serve: {one_line(told[-1])}", _TOLD)


async def _why_not_two(command: str, binding: Binding, dsn: str) -> str | None:
    async with started_service(command, binding, lambda: dsn, processes=2) as service:
        return await _why_unknown(service.clients[1], await _opened(service), binding)


async def _why_not_again(command: str, binding: Binding, dsn: str) -> str | None:
    async with started_service(command, binding, lambda: dsn) as service:
        before = _rows(dsn)
        payment = await _opened(service)
        if _rows(dsn) <= before:
            return _STORES_NOTHING
        assert service.restart is not None
        await service.restart()
        if _rows(dsn) <= before:
            return "its command empties the database as it starts"
        return await _why_unknown(service.client, payment, binding)


async def _opened(service: ServiceUnderTest) -> str:
    """Create and authorize a payment; what is answered is for others to judge."""
    payment, traits = str(uuid4()), service.traits
    for f, asked in traits.opening(payment, traits.amount(_AMOUNT), traits.window(_WINDOW)):
        await _why_unreadable(service.client, Invocation(f, asked))
    return payment


async def _why_unknown(client: Sender, payment: str, binding: Binding) -> str | None:
    """Why another process does not know who asks; a session may be in the memory of one."""
    wrong = await _why_unreadable(client, Invocation("read", {"payment": payment}))
    if wrong is None or not binding.setup:
        return None
    return f"what comes before everything was sent to another process: {clipped(one_line(wrong), _TOLD)}"


async def _why_unreadable(client: Sender, invocation: Invocation) -> str | None:
    """Send a command; why its answer cannot be read, if it cannot."""
    try:
        await client.send(invocation)
    except UnreadableAnswerError as error:
        return str(error)
    return None


def _rows(dsn: str) -> int:
    """How many rows the service's tables have."""
    count = sql.SQL("SELECT count(*) FROM {}")
    with psycopg.connect(dsn) as connection:
        tables = [sql.Identifier(*each) for each in connection.execute(_TABLES)]
        return sum(row[0] for each in tables for row in connection.execute(count.format(each)))
