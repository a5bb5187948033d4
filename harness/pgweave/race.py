"""Clients that a user gave, as a domain."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

from pgweave.drive.domain import Facts, World
from pgweave.drive.race import Race
from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.footprint import EVERYTHING
from pgweave.scheduler import Body, GatedDatabase, Limits, Monitor, Process, Run, Turns
from pgweave.service.command import CommandError, running_command
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import is_scheduling_point
from pgweave.timeline.model import TimelineOperation

Setup: TypeAlias = Callable[[str], Any]
"""Brings the database to where a race begins, always the same. Gets a connection string; async or plain."""

Client: TypeAlias = Callable[[str, Any], Any]
"""Gets a connection string or a URL, and what the setup returned. Returns its answer. Async or plain."""

Check: TypeAlias = Callable[[str, Any, Sequence[Any]], Any]
"""Gets a connection string, what the setup returned, and the answers in the order of the clients.

It raises `AssertionError` or returns ``False`` if something is wrong. Async or plain.
"""

LIMITS = Limits()
"""How long a schedule waits for its clients."""

_LEFT_OPEN = """
    SELECT left(query, 200) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Command:
    """A service, which a command starts. It serves HTTP at ``HOST`` and ``PORT`` of its environment.

    Attributes:
        shell: the command, for the shell: ``my-service --port $PORT``.
        ready: a path that it answers with anything below 500 once it serves.
        variable: where in its environment it looks for its database.
    """

    shell: str
    ready: str = "/"
    variable: str = "DATABASE_URL"


class UseError(RuntimeError):
    """There can be no verdict as things are; the message says what to do."""


@dataclass(frozen=True)
class Asked:
    """What is to be explored."""

    dsn: str
    setup: Setup
    clients: Sequence[Client]
    check: Check
    service: Command | None


@dataclass(frozen=True)
class Ended:
    """What a schedule has led to: what is wrong, and who was answered what."""

    problem: str
    operations: tuple[TimelineOperation, ...]


@asynccontextmanager
async def race_of(asked: Asked) -> AsyncIterator[Race[str]]:
    """Make the proxy, the service and the database ready, until the block ends.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    if not asked.clients:
        raise UseError("there is no client: give at least one")
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(Gate.open(asked.dsn, is_scheduling_point))
        monitor = await stack.enter_async_context(Monitor.connect(asked.dsn, ours=False))
        address = await _address(asked.service, gate, stack)
        caller = _Caller(stack.enter_context(ThreadPoolExecutor(max_workers=len(asked.clients))))
        await caller.call(asked.setup, asked.dsn)  # it may make the tables
        await _require_no_transaction(asked.dsn)
        database = GatedDatabase(gate, monitor, Catalog.load(asked.dsn), Turns(ours=False))
        yield Race(ClientsDomain(asked, address, database, caller))


async def _address(service: Command | None, gate: Gate, stack: AsyncExitStack) -> str:
    """Where the clients turn to."""
    if service is None:
        return gate.tcp_dsn
    starting = running_command(service.shell, {service.variable: gate.tcp_dsn}, service.ready)
    try:
        return (await stack.enter_async_context(starting)).url
    except CommandError as error:
        raise UseError(f"the service does not serve: {error}") from error


async def _require_no_transaction(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        left = await (await connection.execute(_LEFT_OPEN)).fetchone()
    if left is not None:
        raise UseError(
            f"after the setup a transaction is open: commit it, and close the connection ({left[0]})"
        )


@dataclass(frozen=True)
class _Caller:
    """Calls what a user gave: in the event loop if it is async, else in a thread."""

    threads: ThreadPoolExecutor

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - the user's
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        answer = await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)
        return await answer if inspect.isawaitable(answer) else answer


class ClientsDomain:
    """Clients that a user gave, and the check that judges them."""

    def __init__(self, asked: Asked, address: str, database: GatedDatabase, caller: _Caller) -> None:
        self.name = " and ".join(_names(asked.clients))
        self.actors = _names(asked.clients)
        self.database = database
        self._asked = asked
        self._address = address
        self._caller = caller

    async def prepare(self) -> None:
        """Nothing: each schedule has a setup."""

    @asynccontextmanager
    async def world(self, facts: Facts, *, hurt: bool) -> AsyncIterator[World]:
        """Call the setup.

        Raises:
            UseError: no client has sent a statement through the proxy, or the check cannot be made.
        """
        assert not hurt, "nothing goes wrong on purpose"
        made = await self._caller.call(self._asked.setup, self._asked.dsn)
        bodies = [(name, self._body(number, made, facts)) for number, name in enumerate(self.actors)]
        yield World(bodies, lambda run: self._observe(run, made), limits=LIMITS)

    def is_answer(self, result: Any) -> bool:  # noqa: ANN401 - the user's
        """Whether a client has come to its end."""
        return not isinstance(result, Exception)

    def outcomes(self, ended: Ended) -> Hashable:
        """What was wrong, and what was answered."""
        return ended.problem, ended.operations

    def judge(self, *, hurt: bool) -> ClientsDomain:
        """The same: what is wrong has been observed."""
        assert not hurt, "nothing goes wrong on purpose"
        return self

    def find_violation(self, execution: Execution) -> str | None:
        """What was wrong at the end of a run."""
        return execution.result.problem or None

    def _body(self, number: int, made: Any, facts: Facts) -> Body:  # noqa: ANN401 - the user's
        async def body(process: Process) -> None:
            operation = process.begin(self.actors[number])
            if facts.answers_alone:
                await process.point(f"{self.actors[number]} begins", EVERYTHING)
            try:
                answer = await self._caller.call(self._asked.clients[number], self._address, made)
            except Exception as error:  # noqa: BLE001 - the client's; it is told
                process.end(operation, error)
            else:
                process.end(operation, answer)

        return body

    async def _observe(self, run: Run, made: Any) -> Ended:  # noqa: ANN401 - the user's
        if not any(process.statements for process in run.processes):
            raise UseError(
                "no client has sent a statement through the proxy: connect with the string that is given"
            )
        done = [operation for process in run.processes for operation in process.operations]
        raised = next((each for each in done if isinstance(each.result, Exception)), None)
        problem = run.left_open if raised is None else f"{raised.value} raised {_named(raised.result)}"
        if not problem:
            problem = await self._checked(made, [each.result for each in done])
        shown = (
            TimelineOperation(
                each.process,
                str(each.value),
                _named(each.result) if isinstance(each.result, Exception) else repr(each.result),
                first=each.first,
                last=None if each.first is None else each.answered,
            )
            for each in done
        )
        return Ended(problem, tuple(shown))

    async def _checked(self, made: Any, answers: Sequence[Any]) -> str:  # noqa: ANN401 - the user's
        try:
            verdict = await self._caller.call(self._asked.check, self._asked.dsn, made, answers)
        except AssertionError as error:
            return str(error) or "the check's assertion failed"
        except Exception as error:
            raise UseError(f"the check cannot be made: it raised {_named(error)}") from error
        return "the check returned False" if verdict is False else ""


def _names(clients: Sequence[Client]) -> Sequence[str]:
    return [f"{getattr(client, '__name__', 'client')} {number}" for number, client in enumerate(clients)]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().removesuffix(":")
