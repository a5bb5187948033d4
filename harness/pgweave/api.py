"""The front door: every order of the SQL of some clients, up to the first in which something is wrong.

    from pgweave import explore

    result = explore(setup=two_accounts, clients=[transfer, transfer], check=money_is_conserved)
    result.assert_holds()

Clients use the database themselves, with any driver, by the connection string that they are given: it leads
through a proxy that holds each statement until it is its turn. Or they ask a service, which is given that
connection string: then they are given its address.

    result = explore(service=Command("node app.js"), setup=..., clients=..., check=...)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgweave.databases import started_server
from pgweave.drive.exploration import Effort, end_if_interrupted, explore_race
from pgweave.drive.race import Race
from pgweave.drive.single import replay_race
from pgweave.history.formats import load
from pgweave.history.operations import HistoryError, Operation
from pgweave.history.spec import Spec
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.judging import Ended, judge_history
from pgweave.race import race_of
from pgweave.result import Result, read_schedule
from pgweave.scenario import Application, Check, Client, Command, Scenario, Setup, UseError
from pgweave.timeline.model import from_execution
from pgweave.timeline.text import render

_EFFORT = Effort(rerun_every=10, minimizing_runs=100)


def explore(
    dsn: str | None = None,
    *,
    setup: Setup,
    clients: Sequence[Client | Sequence[Client]],
    check: Check | None = None,
    spec: Spec[Any] | None = None,
    service: Command | Application | None = None,
    limit_s: float | None = None,
    on_schedule: Callable[[int], object] = lambda _schedules: None,
) -> Result:
    """Run some clients in every order of their SQL statements, up to the first in which something is wrong.

    Of the schedules that differ only in the order of statements that do not affect each other, one is run.

    Args:
        dsn: a database with the tables that the clients use, and nobody else at work in it. If not given, a
            new one of a PostgreSQL that is started for it.
        setup: what happens before each schedule.
        clients: who races: a function for each, or several that it calls one after the other. An exception
            that one lets out is wrong.
        check: what is asked of the end of each schedule.
        spec: what the answers have to be linearizable to. What is asked is the function's name, and as its
            value what `functools.partial` has bound, by the names of the parameters.
        service: what the clients ask: a command that serves, or a function that makes an ASGI application
            from the connection string. Nothing if they use the database themselves.
        limit_s: begin no schedule after so many seconds.
        on_schedule: told after each schedule how many there were.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    scenario = Scenario(setup, clients, check, spec, service)
    with _database(dsn) as found:
        return _run(_explore(scenario, found, limit_s, on_schedule))


def replay(
    path: Path | str,
    dsn: str | None = None,
    *,
    setup: Setup,
    clients: Sequence[Client | Sequence[Client]],
    check: Check | None = None,
    spec: Spec[Any] | None = None,
    service: Command | Application | None = None,
) -> Result:
    """Run one schedule again that `Result.save` has written; the rest is as for `explore`.

    Raises:
        UseError: the file is no schedule, or the clients cannot take its steps in this order any more.
    """
    schedule, labels = read_schedule(path)
    scenario = Scenario(setup, clients, check, spec, service)
    with _database(dsn) as found:
        return _run(_replay(scenario, found, schedule, labels))


def check_history(spec: Spec[Any], operations: Sequence[Operation] | Path | str) -> Result:
    """Decide whether what clients heard is linearizable: `Result.picture` says why it is not.

    Args:
        spec: what is right.
        operations: the operations, or the file of a history.

    Raises:
        UseError: the spec raised something, or the file is no history.
    """
    if isinstance(operations, Path | str):
        try:
            operations = load(Path(operations)).operations
        except (HistoryError, OSError) as error:
            raise UseError(f"there is no history to be judged: {error}") from error
    problem, picture = judge_history(spec, operations)
    return Result(1, complete=True, problem=problem, picture=picture or "1 history")


@contextmanager
def _database(dsn: str | None) -> Iterator[str]:
    """The database that is named, or one of its own."""
    if dsn is not None:
        yield dsn
        return
    with started_server() as server:
        yield server.create_database("pgweave")


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise UseError("this was called in an event loop: call it in a plain function, or with asyncio.to_thread")


async def _explore(
    scenario: Scenario, dsn: str, limit_s: float | None, on_schedule: Callable[[int], object]
) -> Result:
    async with race_of(scenario, dsn) as race:
        found = await explore_race(race, effort=replace(_EFFORT, limit_s=limit_s), on_run=on_schedule)
        end_if_interrupted()
    if found.execution is not None:
        return _found(race, found.execution, found.report.schedules)
    return Result(found.report.schedules, found.report.complete, unclear=found.unclear)


async def _replay(scenario: Scenario, dsn: str, schedule: Sequence[int], labels: Sequence[str]) -> Result:
    async with race_of(scenario, dsn) as race:
        try:
            execution = await replay_race(race, schedule, labels)
        except (DivergenceError, SchedulingError, ValueError) as error:
            raise UseError(
                f"the schedule cannot be run again: {error}. If what it ran was changed, explore that"
            ) from error
    return _found(race, execution, 1)


def _found(race: Race[str], execution: Execution, schedules: int) -> Result:
    ended: Ended = execution.result
    timeline = from_execution(
        execution,
        race.domain.actors,
        title=race.domain.name,
        operations=ended.operations,
        verdict=f"violated: {ended.problem}" if ended.problem else "holds",
        explanation=ended.explanation,
    )
    labels = tuple(step.label for step in execution.steps)
    complete = not ended.problem
    return Result(schedules, complete, ended.problem, render(timeline), execution.schedule, labels)
