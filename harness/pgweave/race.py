"""Clients that a user gave, as a domain."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from pgweave.calling import call
from pgweave.clients import Heard, named
from pgweave.database_url import resolved
from pgweave.drive.domain import Facts, World
from pgweave.drive.race import Race
from pgweave.gate import Gate
from pgweave.interleavings.execution import Execution, SchedulingError
from pgweave.judging import Ended, judge
from pgweave.leftovers import Leftovers
from pgweave.scenario import Client, Command, Scenario, UseError, arguments_taken
from pgweave.scheduler import GatedDatabase, Limits, Monitor, Run, Turns
from pgweave.service.asgi import ApplicationError, serving
from pgweave.service.command import CommandError, running_command
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

LIMITS = Limits()
"""How long a schedule waits for its clients."""
_LEFT_BY_A_CLIENT = (
    250  # looks; who may still end its transaction runs in this process, and goes on meanwhile
)

_MOST_HUNG = 2

_IS_THERE = {"42P04", "42P06", "42P07", "42710", "42723", "23505"}
"""What a database says of an object, or a key, that is there already."""
_AGAIN = "it runs before each schedule, on what the last one left: CREATE … IF NOT EXISTS, and DELETE first"

_LEFT_OPEN = """
    SELECT left(query, 200) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def race_of(scenario: Scenario, dsn: str) -> AsyncIterator[Race[str]]:
    """Make the proxy, the service and the database ready, until the block ends.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    dsn = resolved(dsn)  # the same for all: what leads through the proxy takes nothing from a service file
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(Gate.open(dsn, is_scheduling_point))
        monitor = await stack.enter_async_context(Monitor.connect(dsn, ours=False))
        await set_up(scenario, dsn)  # it may make the tables
        await _require_no_transaction(dsn)
        address = await _address(scenario, gate, stack)
        leftovers = Leftovers(scenario, gate, address, partial(set_up, scenario, dsn))
        if scenario.service is not None:
            await leftovers.learn()
        database = GatedDatabase(gate, monitor, read_catalog(dsn), Turns(ours=False))
        yield Race(ClientsDomain(scenario, dsn, address, database, leftovers))


async def _address(scenario: Scenario, gate: Gate, stack: AsyncExitStack) -> str:
    """Where the clients turn to."""
    service = scenario.service
    if service is None:
        return gate.tcp_dsn
    try:
        if isinstance(service, Command):
            starting = running_command(service.shell, {service.variable: gate.tcp_dsn}, service.ready)
            return (await stack.enter_async_context(starting)).url
        return await stack.enter_async_context(serving(await call(service, gate.tcp_dsn)))
    except (CommandError, ApplicationError) as error:
        raise UseError(f"the service does not serve: {error}") from error
    except Exception as error:
        raise UseError(f"the service cannot be made: its function raised {named(error)}") from error


async def set_up(scenario: Scenario, dsn: str) -> object:
    """Bring the database to where a race begins; what the setup returns.

    Raises:
        UseError: it raised something.
    """
    given = (dsn,)
    try:
        return await call(scenario.setup, *given[: arguments_taken(scenario.setup, 1)])
    except Exception as error:
        hint = f"; {_AGAIN}" if getattr(error, "sqlstate", None) in _IS_THERE else ""
        raise UseError(f"the setup cannot be made: it raised {named(error)}{hint}") from error


async def _require_no_transaction(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        left = await (await connection.execute(_LEFT_OPEN)).fetchone()
    if left is not None:
        raise UseError(
            f"after the setup a transaction is open: commit it, and close the connection ({left[0]})"
        )


class ClientsDomain:
    """Clients that a user gave, and the check and the spec that judge them."""

    def __init__(
        self, scenario: Scenario, dsn: str, address: str, database: GatedDatabase, leftovers: Leftovers
    ) -> None:
        self.actors = scenario.names
        self.name = " and ".join(self.actors)
        self.database = database
        self._scenario = scenario
        self._dsn = dsn
        self._address = address
        self._leftovers = leftovers
        self._hung = 0

    def with_clients(
        self, clients: Sequence[Client | Sequence[Client]], called: Sequence[str]
    ) -> ClientsDomain:
        """The same, with other clients, who are called by these names."""
        scenario = replace(self._scenario, clients=clients, called=tuple(called))
        return ClientsDomain(scenario, self._dsn, self._address, self.database, self._leftovers)

    async def prepare(self) -> None:
        """Nothing: each schedule has a setup."""

    @asynccontextmanager
    async def world(self, facts: Facts, *, hurt: bool) -> AsyncIterator[World]:
        """Call the setup.

        Raises:
            UseError: no client has sent a statement through the proxy, one hangs in the first runs, or the
                setup, the check or the spec cannot be asked.
        """
        assert not hurt, "nothing goes wrong on purpose"
        made, through_the_gate = await set_up(self._scenario, self._dsn), self.database.gate.tcp_dsn
        heard = Heard(self._scenario, self._address, made, through_the_gate, facts)
        try:
            yield World(heard.bodies(), partial(self._observe, heard), limits=self._limits)
        except SchedulingError as error:
            self._hung += 1
            if self._hung == _MOST_HUNG:
                raise UseError(
                    f"a client hangs, or waits for another elsewhere than in the database: {error}"
                ) from error
            raise

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

    async def _observe(self, heard: Heard, run: Run) -> Ended:
        self._hung = -sys.maxsize  # who has come to an end once does not always hang
        self._require_statements(heard, [process.statements > 0 for process in run.processes])
        execution = Execution(run.steps, complete=True)
        ended = await judge(heard, execution, self._dsn, run.left.problem)
        left = "" if self._scenario.service is None else await self._leftovers.problem(run.left.failed)
        return replace(ended, problem=left) if left else ended

    def _require_statements(self, heard: Heard, sent: Sequence[bool]) -> None:
        """Refuse clients that go past the proxy; a service may answer some without a statement.

        Raises:
            UseError: none has sent one; or one has not that uses the database itself, and was not stopped.
        """
        if heard.raised and not any(sent):
            raise UseError(f"{heard.raised}, before any statement was sent through the proxy")
        stopped = {each.process for each in heard.done if isinstance(each.result, Exception)}
        silent = [number for number, has_sent in enumerate(sent) if not has_sent and number not in stopped]
        if not any(sent):
            raise UseError(f"no client has sent a statement through the proxy: {self._what_to_do}")
        if silent and self._scenario.service is None:
            who = self.actors[silent[0]]
            raise UseError(f"{who} has not sent a statement through the proxy: {self._what_to_do}")

    @property
    def _limits(self) -> Limits:
        in_process = self._scenario.service is None
        return replace(LIMITS, left=min(LIMITS.left, _LEFT_BY_A_CLIENT)) if in_process else LIMITS

    @property
    def _what_to_do(self) -> str:
        match self._scenario.service:
            case None:
                return "connect with the string that is given"
            case Command(variable=variable):
                return f"the service has to take the string in {variable}"
            case _:
                return "the application has to use the string that its function is given"
