"""The ways in which the actors of a race come to their statements, and what follows a fault there.

Up to a fault a race is the same as without one. So the places at which something can go wrong, and the ways
in which an actor comes there, are those of the race without faults, which is explored once.

Two faults at one place are *alike* if, whichever way the actor came there, they leave the database the same,
and the race goes on with the same steps and ends with the same answers, both when the actor goes on before
everybody else and when it does behind them. Then they leave the service the same program, whose schedules are
the same, and one of the two is explored. That is an assumption about the service, as it is one that actors
are interchangeable. So each fault is tried in each way, and judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Generic, TypeAlias

from pgweave.drive.domain import BrokenServiceError, Judge, Violation
from pgweave.drive.exploration import Effort, Explored, explore_race
from pgweave.drive.race import Place, Race
from pgweave.drive.single import run_race
from pgweave.gate import Fault
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError, Situation, Step
from pgweave.interleavings.footprint import Access, Mode
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import Continuation, Coverage, preferred

UNCHANGED = Effort(rerun_every=0, minimizing_runs=0)
"""Of an exploration whose wrong run stays as it is."""

Sequel: TypeAlias = tuple[Hashable, ...]
"""What a fault did, the steps after it, and the answers."""


@dataclass(frozen=True, slots=True)
class After:
    """Takes the steps of a schedule first. Then an actor goes on before everybody else does, or behind them.

    Attributes:
        prefix: the processes that take the first steps.
        actor: the actor.
        is_first: whether it goes on before everybody else.
    """

    prefix: tuple[int, ...]
    actor: int
    is_first: bool

    def start(self) -> Continuation:
        """Return the continuation, which has no state."""
        return self._choose

    def _choose(self, situations: Sequence[Situation]) -> int:
        situation = situations[-1]
        if situation.depth < len(self.prefix):
            return self._planned(situation)
        wanted = [each for each in situation.ready if (each == self.actor) is self.is_first]
        return preferred(situation, wanted or list(situation.ready))

    def _planned(self, situation: Situation) -> int:
        process = self.prefix[situation.depth]
        if process not in situation.ready:
            raise DivergenceError(f"step {situation.depth}: process {process} should come next and waits")
        return process


@dataclass
class Tried(Generic[Violation]):
    """What a fault led to, once for each way there is to its place.

    Attributes:
        judge: who judged the runs; none is wrong.
        alike: an earlier fault that led to the same; ``None`` if none did.
        runs: the runs.
        outcomes: how often each combination of answers was seen.
    """

    judge: Judge[Violation]
    alike: Fault | None = None
    runs: list[Execution] = field(default_factory=list)
    outcomes: Counter[Hashable] = field(default_factory=Counter)

    @property
    def explored(self) -> Explored[Violation]:
        """The runs as the exploration of a place for which another stands."""
        assert self.alike is not None
        deepest = max(len(each.steps) for each in self.runs)
        report = Report(f"as {self.alike.value}", Coverage.CLASSES, True, len(self.runs), 0, deepest, 0.0)
        return Explored(report=report, judge=self.judge, outcomes=self.outcomes)


@dataclass
class Arrivals(Generic[Violation]):
    """How the actors of one race come to their statements; what is known of one fault counts for the next.

    Attributes:
        compares: whether faults that are alike are looked for; otherwise each is explored.
        schedules: schedules that were run to find out the ways.
    """

    compares: bool = True
    schedules: int = 0
    _ways: Mapping[Place, Sequence[tuple[int, ...]]] | None = None
    _explored: bool = False
    _first: dict[tuple[Place, tuple[Sequel, ...]], Fault] = field(default_factory=dict)

    async def ways(self, race: Race[Violation]) -> Mapping[Place, Sequence[tuple[int, ...]]] | None:
        """For each place, a schedule up to it for each way there; ``None`` if the race itself is not right.

        Args:
            race: the race, without faults.
        """
        if not self._explored:
            self._explored = True
            kept = _Kept(race.domain.judge(hurt=False))
            explored = await explore_race(race, effort=UNCHANGED, make_judge=lambda: kept)
            self.schedules = explored.report.schedules
            self._ways = _ways(kept.executions) if explored.holds else None
        return self._ways

    async def tried(
        self, hurt: Race[Violation], place: Place, make_judge: Callable[[], Judge[Violation]]
    ) -> Tried[Violation] | None:
        """Try a fault once in each way there is to its place; ``None`` if that tells nothing.

        Args:
            hurt: the race with its fault.
            place: where the fault is.
            make_judge: makes the judge of the runs; where one is wrong, the place is to be explored.
        """
        fault, ways = hurt.faults[place], (self._ways or {}).get(place, ())
        if not self.compares or not ways:
            return None
        tried, sequels = Tried(make_judge()), []
        for way, is_first in product(ways, (False, True)):
            try:
                execution = await run_race(hurt, After(way, place[0], is_first))
            except (BrokenServiceError, DivergenceError, SchedulingError):
                return None
            if tried.judge.find_violation(execution) is not None:
                return None
            tried.runs.append(execution)
            tried.outcomes[outcomes := hurt.domain.outcomes(execution.result)] += 1
            effect = _effect(execution.steps, len(way) - 1, fault)
            sequels.append((effect, _after(execution, len(way)), outcomes))
        first = self._first.setdefault((place, tuple(sequels)), fault)
        tried.alike = None if first is fault else first
        return tried


class _Kept(Generic[Violation]):
    """A judge that keeps what it has judged."""

    def __init__(self, judge: Judge[Violation]) -> None:
        self.executions: list[Execution] = []
        self._judge = judge

    def find_violation(self, execution: Execution) -> Violation | None:
        self.executions.append(execution)
        return self._judge.find_violation(execution)


def _ways(executions: Sequence[Execution]) -> Mapping[Place, Sequence[tuple[int, ...]]]:
    """The schedules up to each statement, one for each sequence of its actor's steps up to it."""
    found: dict[Place, dict[tuple[str, ...], tuple[int, ...]]] = {}
    for execution in executions:
        taken: dict[int, tuple[str, ...]] = {}
        statements: dict[int, int] = {}
        for number, step in enumerate(execution.steps):
            steps = taken[step.process] = (*taken.get(step.process, ()), step.shape or step.label)
            if is_statement(step):
                statement = statements.get(step.process, 0)
                statements[step.process] = statement + 1
                ways = found.setdefault((step.process, statement), {})
                ways.setdefault(steps, execution.schedule[: number + 1])
    return {place: tuple(ways.values()) for place, ways in found.items()}


def is_statement(step: Step) -> bool:
    """Whether a step is a statement, and not a scheduling point."""
    return "connection" in step.details


def _after(execution: Execution, length: int) -> Hashable:
    """The steps after so many, but for those that touch nothing."""
    return tuple(
        (step.process, step.shape, step.footprint, step.blocked, step.woke)
        for step in execution.steps[length:]
        if not step.footprint.is_empty
    )


def _effect(steps: Sequence[Step], hurt: int, fault: Fault) -> Hashable:
    """What of a hurt statement is left, or may have kept others waiting.

    What it has read is lost with its transaction, and so are its locks. A lock that it waits for while it
    holds others may make a deadlock. Whose connection is refused next is seen in the steps after it.
    """
    step = steps[hurt]
    held = {each for one in steps[:hurt] if one.process == step.process for each in _locks(one)}
    published = {each for each in step.footprint.accesses if each.mode is Mode.PUBLISH}
    waited = _locks(step) - held if held else set()
    unknown = step.footprint.everything and fault is not Fault.TOO_MANY_CONNECTIONS
    return unknown, frozenset(published), frozenset(waited), step.blocked, step.woke


def _locks(step: Step) -> set[Access]:
    return {each for each in step.footprint.accesses if each.mode is Mode.LOCK}
