"""Clients that a user gave, as a program that can be run again and again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import psycopg

from pgweave.gate import Gate
from pgweave.interleavings.execution import Chooser, Execution, OutdatedError, SchedulingError
from pgweave.scheduler import Body, Conditions, GatedDatabase, Limits, Monitor, Process, Run, Turns
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
async def race_of(asked: Asked) -> AsyncIterator[Race]:
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
        yield Race(asked, address, database, caller)


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


class Race:
    """The clients as a program that can be run again and again."""

    def __init__(self, asked: Asked, address: str, database: GatedDatabase, caller: _Caller) -> None:
        self.names = [
            f"{getattr(client, '__name__', 'client')} {n}" for n, client in enumerate(asked.clients)
        ]
        self._asked = asked
        self._address = address
        self._database = database
        self._caller = caller
        self._start_is_read = False

    @property
    def processes(self) -> int:
        """How many clients there are."""
        return len(self._asked.clients)

    async def rehearse(self) -> None:
        """Find out what the statements need to be known, by one run."""
        try:
            await self.run(lambda situation: min(situation.ready))
        except OutdatedError:
            return

    async def run(self, choose: Chooser) -> Execution:
        """Run it once.

        Raises:
            UseError: no client has sent a statement through the proxy, or the check cannot be made.
            OutdatedError: a statement asks when its transaction began, and that was not known.
            SchedulingError: a client came neither to its next statement nor to its end, or statements came
                that no client sent.
        """
        world = await self._caller.call(self._asked.setup, self._asked.dsn)
        bodies = [(name, self._body(n, world)) for n, name in enumerate(self.names)]
        conditions = Conditions(start_is_read=self._start_is_read)
        run = Run(bodies, self._database, limits=LIMITS, conditions=conditions)
        execution = await run(choose)
        if run.strays:
            raise SchedulingError(
                f"statements were sent while no client ran, and not scheduled: {run.strays}"
            )
        if run.start_was_read and not self._start_is_read:
            self._start_is_read = True
            raise OutdatedError("a statement asks when its transaction began, so BEGIN reads the clock")
        if not execution.complete:
            return execution
        if not execution.steps:
            raise UseError(
                "no client has sent a statement through the proxy: connect with the string that is given"
            )
        return replace(execution, result=await self._judged(run, world))

    def _body(self, number: int, world: Any) -> Body:  # noqa: ANN401 - the user's
        async def body(process: Process) -> None:
            operation = process.begin(self.names[number])
            try:
                answer = await self._caller.call(self._asked.clients[number], self._address, world)
            except Exception as error:  # noqa: BLE001 - the client's; it is told
                process.end(operation, error)
            else:
                process.end(operation, answer)

        return body

    async def _judged(self, run: Run, world: Any) -> Ended:  # noqa: ANN401 - the user's
        done = [operation for process in run.processes for operation in process.operations]
        raised = next((each for each in done if isinstance(each.result, Exception)), None)
        problem = run.left_open if raised is None else f"{raised.value} raised {_named(raised.result)}"
        if not problem:
            problem = await self._checked(world, [each.result for each in done])
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

    async def _checked(self, world: Any, answers: Sequence[Any]) -> str:  # noqa: ANN401 - the user's
        try:
            verdict = await self._caller.call(self._asked.check, self._asked.dsn, world, answers)
        except AssertionError as error:
            return str(error) or "the check's assertion failed"
        except Exception as error:
            raise UseError(f"the check cannot be made: it raised {_named(error)}") from error
        return "the check returned False" if verdict is False else ""


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().removesuffix(":")
