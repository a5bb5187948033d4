"""A race that the model does not explain, made as small as it can be.

Hypothesis leaves out what it can, but each number that it draws may give the others another meaning: where
two actors change places, the schedule is another. Here actors, commands and what comes before them are left
out one at a time and the schedule is kept; then it is brought to the fewest switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.preparation import Before
from payments_verify.payments.races.runner import RaceRunner
from payments_verify.payments.scenarios.catalogue import Actor, Client
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.interleavings.minimize import Follow

Candidate: TypeAlias = "tuple[Sequence[Before], Sequence[Actor], Sequence[int]]"
"""What comes before, who races, and the schedule."""


@dataclass(frozen=True)
class FailingRace:
    """A race that the model does not explain.

    Attributes:
        before: what brought the payments to where it began.
        actors: who raced.
        execution: the run.
        violation: what is wrong with it.
        start: where the database's clock stood when ``before`` began, in µs.
    """

    before: tuple[Before, ...]
    actors: tuple[Actor, ...]
    execution: Execution
    violation: Violation
    start: int


async def shrink_race(
    race: FailingRace, races: RaceRunner, on_smaller: Callable[[FailingRace], object] = lambda _race: None
) -> FailingRace:
    """A race that is wrong as well, and from which nothing more can be left out by itself.

    A race that does not come out wrong when it is run again is left as it is.

    Args:
        race: the race.
        races: runs races on the service.
        on_smaller: is told of each smaller one.
    """
    smaller: FailingRace | None = race
    while smaller is not None:
        race = smaller
        on_smaller(race)
        smaller = await _smaller(race, races)

    def keep(execution: Execution, violation: Violation) -> None:
        nonlocal race
        race = replace(race, execution=execution, violation=violation)
        on_smaller(race)

    await races.minimize(race.before, race.actors, race.execution, race.start, keep)
    return race


async def why_not_reproduced(race: FailingRace, races: RaceRunner) -> str | None:
    """What keeps the race from coming out wrong again; ``None`` if it does.

    Args:
        race: the race.
        races: runs it on a service that was just opened, and that was asked nothing else.
    """
    try:
        _, judged = await races.run(race.before, race.actors, Follow(race.execution.schedule), race.start)
    except (DivergenceError, SchedulingError) as error:
        return f"Alone, on a service that was just opened, this race cannot be run in its order: {error}"
    if isinstance(judged, Violation):
        return None
    return (
        "Alone, on a service that was just opened, this race does not fail: it fails after what other"
        " programs have asked."
    )


async def _smaller(race: FailingRace, races: RaceRunner) -> FailingRace | None:
    for before, actors, schedule in candidates(race.before, race.actors, race.execution.schedule):
        try:
            execution, judged = await races.run(before, actors, Follow(tuple(schedule)), race.start)
        except (DivergenceError, SchedulingError):
            continue
        if isinstance(judged, Violation):
            return FailingRace(tuple(before), tuple(actors), execution, judged, race.start)
    return None


def candidates(
    before: Sequence[Before], actors: Sequence[Actor], schedule: Sequence[int]
) -> Iterator[Candidate]:
    """Yield what is left without one actor, one command, one of what comes before, all instances but one."""
    for index in range(len(actors)):
        kept = [process - (process > index) for process in schedule if process != index]
        yield before, [*actors[:index], *actors[index + 1 :]], kept
    for index, actor in enumerate(actors):
        if isinstance(actor, Client) and len(actor.commands) > 1:
            for place in range(len(actor.commands)):
                fewer = Client((*actor.commands[:place], *actor.commands[place + 1 :]))
                yield before, [*actors[:index], fewer, *actors[index + 1 :]], schedule
    for index in range(len(before)):
        yield [*before[:index], *before[index + 1 :]], actors, schedule
    first = [_at_the_first_instance(actor) for actor in actors]
    if first != list(actors):
        yield before, first, schedule


def _at_the_first_instance(actor: Actor) -> Actor:
    if not isinstance(actor, Client):
        return actor
    return Client(tuple(replace(command, instance=0) for command in actor.commands))
