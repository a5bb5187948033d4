"""The front door: every order of the SQL of some clients, up to the first in which something is wrong.

    from pgweave import explore

    result = explore(dsn, setup=two_accounts, clients=[transfer, transfer], check=money_is_conserved)
    result.assert_holds()

Clients use the database themselves, with any driver, by the connection string that they are given: it leads
through a proxy that holds each statement until it is its turn. Or they ask a service in any language, which
is started with that connection string: then they are given its address.

    result = explore(dsn, service=Command("node app.js"), setup=..., clients=..., check=...)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgweave.drive.exploration import Effort, end_if_interrupted, explore_race
from pgweave.drive.race import Race
from pgweave.drive.single import replay_race
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.race import Asked, Check, Client, Command, Ended, Setup, UseError, race_of
from pgweave.timeline.model import from_execution
from pgweave.timeline.text import render

_FORMAT, _VERSION = "pgweave-schedule", 1
_EFFORT = Effort(rerun_every=10, minimizing_runs=100)


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
    unclear: tuple[str, ...] = ()

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
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "schedule": self.schedule,
            "statements": self.labels,
        }
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
    service: Command | None = None,
    limit_s: float | None = None,
) -> Result:
    """Run some clients in every order of their SQL statements, up to the first in which something is wrong.

    Of the schedules that differ only in the order of statements that do not affect each other, one is run.

    Args:
        dsn: a database with the tables that the clients use, and nobody else at work in it.
        setup: what happens before each schedule.
        clients: who races. An exception that one lets out is wrong.
        check: what is asked of the end of each schedule.
        service: what the clients ask; nothing if they use the database themselves.
        limit_s: begin no schedule after so many seconds.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    return _run(_explore(Asked(dsn, setup, tuple(clients), check, service), limit_s))


def replay(
    path: Path | str,
    dsn: str,
    *,
    setup: Setup,
    clients: Sequence[Client],
    check: Check,
    service: Command | None = None,
) -> Result:
    """Run one schedule again that `Result.save` has written; the rest is as for `explore`.

    Raises:
        UseError: the file is no schedule, or the clients cannot take its steps in this order any more.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found = content["format"], content["version"]
        schedule, labels = content["schedule"], content["statements"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UseError(f"{path} is no schedule: {error!r}") from error
    if found != (_FORMAT, _VERSION):
        raise UseError(f"{path} is no schedule: its format is {found}, and not {(_FORMAT, _VERSION)}")
    return _run(_replay(Asked(dsn, setup, tuple(clients), check, service), schedule, labels))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise UseError("this was called in an event loop: call it in a plain function, or with asyncio.to_thread")


async def _explore(asked: Asked, limit_s: float | None) -> Result:
    async with race_of(asked) as race:
        found = await explore_race(race, effort=replace(_EFFORT, limit_s=limit_s))
        end_if_interrupted()
    if found.execution is not None:
        return _violated(race, found.execution, found.report.schedules)
    return Result(found.report.schedules, found.report.complete, unclear=found.unclear)


async def _replay(asked: Asked, schedule: Sequence[int], labels: Sequence[str]) -> Result:
    async with race_of(asked) as race:
        try:
            execution = await replay_race(race, schedule, labels)
        except (DivergenceError, SchedulingError, ValueError) as error:
            raise UseError(f"the schedule cannot be run again: {error}") from error
    return _violated(race, execution, 1) if execution.result.problem else Result(1, complete=False)


def _violated(race: Race[str], execution: Execution, schedules: int) -> Result:
    ended: Ended = execution.result
    timeline = from_execution(
        execution,
        race.domain.actors,
        title=race.domain.name,
        operations=ended.operations,
        verdict=f"violated: {ended.problem}",
    )
    labels = tuple(step.label for step in execution.steps)
    return Result(schedules, False, ended.problem, render(timeline), execution.schedule, labels)
