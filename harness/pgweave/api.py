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
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pgweave.databases import started_server
from pgweave.discovering import Discovery, Operations, discover_races
from pgweave.drive.single import replay_race
from pgweave.history.formats import load
from pgweave.history.operations import HistoryError, Operation
from pgweave.history.spec import Spec
from pgweave.interleavings.execution import DivergenceError, SchedulingError
from pgweave.judging import judge_history
from pgweave.outcome import EFFORT, explored, result_of
from pgweave.race import race_of
from pgweave.result import Result, read_schedule
from pgweave.scenario import Application, Check, Client, Command, Scenario, Setup, UseError

_T = TypeVar("_T")


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


def discover(
    dsn: str | None = None,
    *,
    setup: Setup,
    operations: Operations,
    check: Check | None = None,
    spec: Spec[Any] | None = None,
    service: Command | Application | None = None,
    limit_s: float | None = None,
    on_schedule: Callable[[int], object] = lambda _schedules: None,
) -> Discovery:
    """Find out which operations can disturb each other, and explore those, up to the first that is wrong.

    Each operation is run once, alone. What its statements read, lock and change says which pairs share rows,
    with another or with a second call of the same, and in which triples a check is made before a write with
    no lock that covers both. These are explored as `explore` does; the likely ones first.

    Args:
        dsn: as for `explore`.
        setup: what happens before each schedule.
        operations: what can be done, by name. Each is a client as for `explore`.
        check: what has to be true after any of the operations, whichever and how many they are.
        spec: what the answers have to be linearizable to.
        service: what the clients ask, as for `explore`.
        limit_s: begin no schedule after so many seconds.
        on_schedule: told after each schedule how many there were.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    if not isinstance(operations, Mapping):
        raise UseError(f"the operations are no dict of names and functions: {operations!r}")
    scenario = Scenario(setup, tuple(operations.values()), check, spec, service, tuple(operations))
    with _database(dsn) as found:
        return _run(discover_races(scenario, operations, found, limit_s, on_schedule))


def replay(
    path: Path | str,
    dsn: str | None = None,
    *,
    setup: Setup,
    clients: Sequence[Client | Sequence[Client]] = (),
    operations: Operations | None = None,
    check: Check | None = None,
    spec: Spec[Any] | None = None,
    service: Command | Application | None = None,
) -> Result:
    """Run one schedule again that `Result.save` or `Discovery.save` has written.

    The arguments are those of `explore`, or those of `discover`: the file names the operations that raced.

    Raises:
        UseError: the file is no schedule, or the clients cannot take its steps in this order any more.
    """
    kept = read_schedule(path)
    names: Sequence[str] = ()
    if operations is not None:
        names = kept.operations
        if not names or not set(names) <= set(operations):
            raise UseError(f"{path} is of {names or 'clients'}, and there are {', '.join(operations)}")
        clients = [operations[name] for name in names]
    scenario = Scenario(setup, clients, check, spec, service, tuple(names))
    with _database(dsn) as found:
        return _run(_replay(scenario, found, kept))


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


def _run(work: Coroutine[Any, Any, _T]) -> _T:
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
        return await explored(race, replace(EFFORT, limit_s=limit_s), on_schedule)


async def _replay(scenario: Scenario, dsn: str, kept: Result) -> Result:
    async with race_of(scenario, dsn) as race:
        try:
            execution = await replay_race(race, kept.schedule, kept.labels)
        except (DivergenceError, SchedulingError, ValueError) as error:
            raise UseError(
                f"the schedule cannot be run again: {error}. If what it ran was changed, explore that"
            ) from error
    return result_of(race, execution, 1)
