"""Races that nobody wrote: which of some operations can disturb each other, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from pgweave.discovery.candidates import Plan, plan
from pgweave.discovery.telling import explain
from pgweave.discovery.trace import Trace
from pgweave.drive.alone import run_alone
from pgweave.drive.race import Race
from pgweave.interleavings.execution import DivergenceError, SchedulingError
from pgweave.outcome import EFFORT, explored, result_of
from pgweave.race import ClientsDomain, race_of
from pgweave.result import Result
from pgweave.scenario import Client, Scenario, UseError
from pgweave.verdict import Judged, Verdict, worst
from pgweave.visible import counted

Operations = Mapping[str, Client | Sequence[Client]]
"""The operations by their names: each a function, or several that one client calls one after the other."""


@dataclass(frozen=True)
class DiscoveredRace:
    """Operations that are worth racing.

    Attributes:
        operations: their names; one alone if it is wrong by itself.
        why: what makes them worth it, in words that name statements.
        is_foretold: whether an order is foretold of them that no serial one explains.
        result: what their exploration has found; ``None`` if they were not explored.
    """

    operations: tuple[str, ...]
    why: str
    is_foretold: bool
    result: Result | None = None

    @property
    def name(self) -> str:
        """The names of those who race."""
        return " and ".join(self.operations)


@dataclass(frozen=True)
class Discovery(Judged):
    """The races that were discovered, explored up to the first that is wrong.

    Attributes:
        operations: the names of the operations, each of which was run alone.
        races: who is wrong alone; then what is foretold; then the other pairs that share rows.
        independent: the pairs that share no rows, and were not explored: nobody can tell their order.
        serial: how many triples were not explored, because no order is foretold that pairs do not show.
        not_understood: statements that may touch anything; whatever races with them was explored.
    """

    operations: tuple[str, ...]
    races: tuple[DiscoveredRace, ...]
    independent: tuple[str, ...] = ()
    serial: int = 0
    not_understood: tuple[str, ...] = ()

    @property
    def violated(self) -> DiscoveredRace | None:
        """The race that is wrong."""
        return next((each for each in self.races if each.result is not None and each.result.problem), None)

    @property
    def schedules(self) -> int:
        """How many schedules were run."""
        return sum(each.result.schedules for each in self.races if each.result is not None)

    @property
    def verdict(self) -> Verdict:
        """``holds`` only if there are races, and each was explored to its end and holds."""
        found: list[Verdict] = [
            "no verdict" if each.result is None else each.result.verdict for each in self.races
        ]
        return worst(found or ["no verdict"])

    def save(self, path: Path | str) -> None:
        """Write the wrong schedule to a file, for `replay` with the same operations.

        Raises:
            UseError: there is none.
        """
        self.kept_in(Path(path))

    def kept_in(self, file: Path) -> Discovery:
        """The same, with its wrong schedule written to a file.

        Raises:
            UseError: there is none.
            OSError: it cannot be written.
        """
        wrong = self.violated
        if wrong is None or wrong.result is None:
            raise UseError("there is no wrong schedule to save")
        kept = replace(wrong, result=wrong.result.kept_in(file))
        return replace(self, races=tuple(kept if each is wrong else each for each in self.races))

    def as_json(self) -> dict[str, Any]:
        """What was found, as plain data."""
        return {
            "verdict": self.verdict,
            "operations": self.operations,
            "schedules": self.schedules,
            "races": [
                {
                    "operations": each.operations,
                    "foretold": each.is_foretold,
                    "why": each.why,
                    "result": None if each.result is None else each.result.as_json(),
                }
                for each in self.races
            ],
            "independent": self.independent,
            "serial": self.serial,
            "not_understood": self.not_understood,
        }

    def __str__(self) -> str:
        return "\n\n".join([*self._findings(), self._summary(), *self._limits()])

    def _findings(self) -> list[str]:
        wrong = self.violated
        if wrong is not None:
            return [f"{wrong.name}: {wrong.result}", f"why this was explored:\n{wrong.why}"]
        return [
            f"{each.name}: {each.result or 'not explored'}"
            for each in self.races
            if each.result is None or not each.result.holds
        ]

    def _summary(self) -> str:
        explored = [each for each in self.races if each.result is not None]
        return (
            f"{self.verdict}: {counted(len(self.operations), 'operation')}, each alone;"
            f" {len(explored)} of {counted(len(self.races), 'race')} explored,"
            f" in {counted(self.schedules, 'schedule')}"
        )

    def _limits(self) -> list[str]:
        if not self.races:
            return ["no two operations share a row: give some that do"]
        alone = f": {', '.join(self.independent)}" if self.independent else ""
        not_explored = (
            f"not explored: {counted(len(self.independent), 'pair')} without rows that both use{alone};"
            f" {counted(self.serial, 'triple')} in which no order is foretold that pairs do not show"
        )
        unknown = "".join(f"\n  {each}" for each in self.not_understood)
        return [not_explored, *([f"statements that may touch anything:{unknown}"] if unknown else [])]


async def discover_races(
    scenario: Scenario,
    operations: Operations,
    dsn: str,
    limit_s: float | None,
    on_schedule: Callable[[int], object],
) -> Discovery:
    """Run each operation alone, and explore the races that follow, up to the first that is wrong.

    Args:
        scenario: its clients are the operations.
        operations: the same, by name.
        dsn: the database.
        limit_s: begin no schedule after so many seconds.
        on_schedule: told after each schedule how many there were.

    Raises:
        UseError: there can be no verdict as things are; the message says what to do.
        psycopg.Error: the database cannot be reached.
    """
    until = None if limit_s is None else time.monotonic() + limit_s
    async with race_of(scenario, dsn) as everybody:
        assert isinstance(everybody.domain, ClientsDomain)
        made = _Races(everybody.domain, operations)
        planned, wrong, traces = await made.plan()
        found = [*wrong]
        if not wrong:
            found += [each async for each in made.explore(planned, until, on_schedule)]
    names = tuple(operations)
    return Discovery(
        names,
        tuple(found),
        tuple(" and ".join(names[each] for each in group) for group in planned.independent),
        len(planned.serial),
        tuple(dict.fromkeys(label for trace in traces for label in trace.not_understood)),
    )


class _Races:
    def __init__(self, domain: ClientsDomain, operations: Operations) -> None:
        self._domain = domain
        self._names = tuple(operations)
        self._clients = tuple(operations.values())

    async def plan(self) -> tuple[Plan, list[DiscoveredRace], list[Trace]]:
        """What is to be explored; who is wrong alone; and what each operation did alone."""
        traces, wrong = [], []
        for number, name in enumerate(self._names):
            race = self._race((number,))
            try:
                alone = await run_alone(race, name)
            except (DivergenceError, SchedulingError) as error:
                raise UseError(f"{name} cannot be run alone: {error}") from error
            traces.append(alone.trace)
            if alone.violation is not None:
                result = replace(result_of(race, alone.execution, 1), operations=(name,))
                wrong.append(DiscoveredRace((name,), "it is wrong when nobody else is there", False, result))
        return plan(len(traces), lambda group: [(traces[each],) for each in group]), wrong, traces

    async def explore(
        self, planned: Plan, until: float | None, on_schedule: Callable[[int], object]
    ) -> AsyncIterator[DiscoveredRace]:
        """Explore the races, the likely ones first, up to the first that is wrong; the others are given."""
        before, warmed, is_over = 0, 0, False
        for each in sorted(planned.candidates, key=attrgetter("order")):
            names = tuple(self._names[member] for member in each.members)
            race = DiscoveredRace(names, explain(each), each.anomaly is not None)
            left_s = None if until is None else until - time.monotonic()
            if is_over or (left_s is not None and left_s <= 0):
                yield race
                continue
            effort = replace(EFFORT, limit_s=left_s, dry_run=len(names) > warmed)

            def on_run(runs: int, before: int = before) -> None:
                on_schedule(before + runs)

            result = await explored(self._race(each.members), effort, on_run)
            before, warmed = before + result.schedules, max(warmed, len(names))
            is_over = bool(result.problem)
            yield replace(race, result=replace(result, operations=names))

    def _race(self, members: Sequence[int]) -> Race[str]:
        clients = [self._clients[each] for each in members]
        return Race(self._domain.with_clients(clients, [self._names[each] for each in members]))
