"""The front door: every order of the SQL statements of some clients, and what is wrong in the first wrong.

    from pgweave import explore

    result = explore(dsn, setup=two_accounts, clients=[transfer, transfer], check=money_is_conserved)
    result.assert_holds()

Clients use the database themselves, with any driver, by the connection string that they are given: it leads
through a proxy that holds each statement until it is its turn.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from pgweave.gate import Gate
from pgweave.interleavings import replay as replaying
from pgweave.interleavings.execution import (
    Chooser,
    DivergenceError,
    Execution,
    OutdatedError,
    SchedulingError,
)
from pgweave.interleavings.explore import explore as explore_program
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.minimize import minimize
from pgweave.interleavings.report import Report
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.interleavings.strategy import Plan
from pgweave.scheduler import Body, Conditions, GatedDatabase, Monitor, Process, Run, Turns
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import is_scheduling_point
from pgweave.timeline.model import TimelineOperation, from_execution
from pgweave.timeline.text import render

Setup: TypeAlias = Callable[[str], Any]
"""Brings the database to where a race begins, always the same. Gets a connection string; async or plain."""

Client: TypeAlias = Callable[[str, Any], Any]
"""Gets a connection string and what the setup returned. What it returns is its answer. Async or plain."""

Check: TypeAlias = Callable[[str, Any, Sequence[Any]], Any]
"""Gets a connection string, what the setup returned, and the answers in the order of the clients.

It raises `AssertionError` or returns ``False`` if something is wrong. Async or plain.
"""

_FORMAT = "pgweave-schedule"
_LEFT_OPEN = """
    SELECT left(query, 200) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""


class UseError(RuntimeError):
    """There can be no verdict as things are; the message says what to do."""


@dataclass(frozen=True)
class Result:
    """What was found.

    Attributes:
        schedules: how many schedules were run: of those that differ in the order of independent statements
            alone, one.
        complete: whether these were all.
        problem: what is wrong, in the first wrong schedule; empty if nothing is.
        picture: that schedule with few switches between clients, drawn.
        schedule: the clients in the order of their statements there.
        labels: these statements.
        unclear: why some schedules could not be run, or did otherwise when they were run again.
    """

    schedules: int
    complete: bool
    problem: str = ""
    picture: str = ""
    schedule: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    unclear: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether every schedule was run, and nothing was wrong in any."""
        return self.complete and not self.problem and not self.unclear

    def assert_holds(self) -> None:
        """Require that it holds.

        Raises:
            AssertionError: something is wrong, with the picture; or not everything was run.
        """
        if not self.holds:
            raise AssertionError(str(self))

    def save(self, path: Path | str) -> None:
        """Write the wrong schedule to a file, for `replay`.

        Raises:
            UseError: there is none.
        """
        if not self.schedule:
            raise UseError("there is no wrong schedule to save")
        content = {"format": _FORMAT, "version": 1, "schedule": self.schedule, "statements": self.labels}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        if self.problem:
            return f"violated in schedule {self.schedules}: {self.problem}\n\n{self.picture}"
        if self.holds:
            return f"holds: {self.schedules} schedules, one of each class"
        why = "; ".join(self.unclear) or "not everything was run"
        return f"no verdict: {self.schedules} schedules were run, and then: {why}"


def explore(
    dsn: str,
    *,
    setup: Setup,
    clients: Sequence[Client],
    check: Check,
    limit_s: float | None = None,
) -> Result:
    """Run some clients in every order of their SQL statements, up to the first in which something is wrong.

    Of the schedules that differ only in the order of statements that do not affect each other, one is run.

    Args:
        dsn: a database with the tables that the clients use, and nobody else at work in it.
        setup: what happens before each schedule.
        clients: who races. An exception that one lets out is wrong.
        check: what is asked of the end of each schedule.
        limit_s: begin no schedule after so many seconds.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    return asyncio.run(_explore(dsn, setup, clients, check, limit_s))


def replay(path: Path | str, dsn: str, *, setup: Setup, clients: Sequence[Client], check: Check) -> Result:
    """Run one schedule again that `Result.save` has written; the rest is as for `explore`.

    Raises:
        UseError: the file is no schedule, or the clients cannot take its steps in this order any more.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found, schedule, labels = content["format"], content["schedule"], content["statements"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UseError(f"{path} is no schedule: {error!r}") from error
    if found != _FORMAT:
        raise UseError(f"{path} is no schedule: its format is {found!r}, and not {_FORMAT!r}")
    return asyncio.run(_replay(dsn, setup, clients, check, schedule, labels))


async def _explore(
    dsn: str, setup: Setup, clients: Sequence[Client], check: Check, limit_s: float | None
) -> Result:
    wrong: list[Execution] = []

    def take(execution: Execution, _plan: Plan) -> bool:
        if execution.result.problem:
            wrong.append(execution)
        return bool(wrong)

    options = Options(seconds=limit_s, result_key=lambda ended: ended.problem)
    async with _race(dsn, setup, clients, check) as race:
        report = await explore_program(race, SourceDPOR(), on_execution=take, options=options)
        if report.outdated and not wrong:
            report = await explore_program(race, SourceDPOR(), on_execution=take, options=options)
        if not wrong:
            return Result(report.schedules, report.complete, unclear=_unclear(report))
        least = await _least(race, wrong[0])
    return _violated(race, least, report.schedules)


async def _replay(
    dsn: str,
    setup: Setup,
    clients: Sequence[Client],
    check: Check,
    schedule: Sequence[int],
    labels: Sequence[str],
) -> Result:
    async with _race(dsn, setup, clients, check) as race:
        await race.rehearse()
        try:
            execution = await replaying.replay(race, schedule, labels)
        except (DivergenceError, SchedulingError, ValueError) as error:
            raise UseError(f"the schedule cannot be run again: {error}") from error
    return _violated(race, execution, 1) if execution.result.problem else Result(1, complete=False)


def _unclear(report: Report) -> tuple[str, ...]:
    return report.divergences + report.nondeterminism


async def _least(race: _Race, wrong: Execution) -> Execution:
    """The wrong run with few switches; as it is, if it is not wrong each time."""
    try:
        return (await minimize(race, wrong, lambda run: bool(run.result.problem), max_runs=100)).execution
    except (DivergenceError, SchedulingError):
        return wrong


def _violated(race: _Race, execution: Execution, schedules: int) -> Result:
    ended: _Ended = execution.result
    timeline = from_execution(
        execution,
        race.names,
        title=" and ".join(race.names),
        operations=ended.operations,
        verdict=f"violated: {ended.problem}",
    )
    labels = tuple(step.label for step in execution.steps)
    return Result(schedules, False, ended.problem, render(timeline), execution.schedule, labels)


@dataclass(frozen=True)
class _Ended:
    """What a schedule has led to: what is wrong, and who was answered what."""

    problem: str
    operations: tuple[TimelineOperation, ...]


@asynccontextmanager
async def _race(dsn: str, setup: Setup, clients: Sequence[Client], check: Check) -> AsyncIterator[_Race]:
    if not clients:
        raise UseError("there is no client: give at least one")
    async with Gate.open(dsn, is_scheduling_point) as gate, Monitor.connect(dsn, ours=False) as monitor:
        with ThreadPoolExecutor(max_workers=len(clients)) as threads:
            caller = _Caller(threads)
            await caller.call(setup, dsn)  # it may make the tables
            await _require_no_transaction(dsn)
            database = GatedDatabase(gate, monitor, Catalog.load(dsn), Turns(ours=False))
            yield _Race(dsn, setup, tuple(clients), check, database, caller)


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


class _Race:
    """The clients as a program that can be run again and again."""

    def __init__(
        self,
        dsn: str,
        setup: Setup,
        clients: Sequence[Client],
        check: Check,
        database: GatedDatabase,
        caller: _Caller,
    ) -> None:
        self.names = [f"{getattr(client, '__name__', 'client')} {n}" for n, client in enumerate(clients)]
        self._dsn = dsn
        self._setup = setup
        self._clients = clients
        self._check = check
        self._database = database
        self._caller = caller
        self._start_is_read = False

    @property
    def processes(self) -> int:
        """How many clients there are."""
        return len(self._clients)

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
            SchedulingError: a client came neither to its next statement nor to its end.
        """
        world = await self._caller.call(self._setup, self._dsn)
        bodies = [(name, self._body(n, world)) for n, name in enumerate(self.names)]
        conditions = Conditions(start_is_read=self._start_is_read)
        run = Run(bodies, self._database, conditions=conditions)
        execution = await run(choose)
        if run.start_was_read and not self._start_is_read:
            self._start_is_read = True
            raise OutdatedError("a statement asks when its transaction began, so BEGIN reads the clock")
        if not execution.complete:
            return execution
        if not execution.steps:
            raise UseError(
                "no client has sent a statement through the proxy: connect with the string that it is given"
            )
        return replace(execution, result=await self._judged(run.processes, world))

    def _body(self, number: int, world: Any) -> Body:  # noqa: ANN401 - the user's
        async def body(process: Process) -> None:
            operation = process.begin(self.names[number])
            try:
                answer = await self._caller.call(self._clients[number], self._database.gate.tcp_dsn, world)
            except Exception as error:  # noqa: BLE001 - the client's; it is told
                process.end(operation, error)
            else:
                process.end(operation, answer)

        return body

    async def _judged(self, processes: Sequence[Process], world: Any) -> _Ended:  # noqa: ANN401 - the user's
        done = [operation for process in processes for operation in process.operations]
        raised = next((each for each in done if isinstance(each.result, Exception)), None)
        problem = "" if raised is None else f"{raised.value} raised {_named(raised.result)}"
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
        return _Ended(problem, tuple(shown))

    async def _checked(self, world: Any, answers: Sequence[Any]) -> str:  # noqa: ANN401 - the user's
        try:
            verdict = await self._caller.call(self._check, self._dsn, world, answers)
        except AssertionError as error:
            return str(error) or "the check's assertion failed"
        except Exception as error:
            raise UseError(f"the check cannot be made: it raised {_named(error)}") from error
        return "the check returned False" if verdict is False else ""


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().removesuffix(":")
