"""A race with a fault at each statement of its actors, one at a time, each time in every order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Generic

from pgweave.drive.domain import Judge, Violation
from pgweave.drive.exploration import Effort, Explored, explore_race
from pgweave.drive.race import Place, Race
from pgweave.gate import Fault

_EFFORT = Effort(rerun_every=0, minimizing_runs=0)


@dataclass(frozen=True)
class ExploredPlace(Generic[Violation]):
    """What an exploration with a fault at one place has found.

    Attributes:
        place: the actor, and its statement.
        explored: what was found.
        injected: in how many runs the fault was injected.
    """

    place: Place
    explored: Explored[Violation]
    injected: int


async def explore_faults(
    race: Race[Violation],
    fault: Fault,
    actors: Iterable[int],
    *,
    make_judge: Callable[[], Judge[Violation]] | None = None,
    on_place: Callable[[Place], object] = lambda _place: None,
) -> AsyncIterator[ExploredPlace[Violation]]:
    """Explore with the fault at each statement, one at a time, up to the first place that does not hold.

    Places at which PostgreSQL never raises such an error are passed over.

    Args:
        race: the race.
        fault: what goes wrong.
        actors: whose statements are hurt.
        make_judge: makes the judge of one place's runs; the domain's if not given.
        on_place: is told of each place as it is begun.
    """
    await race.prepare()
    for actor in actors:
        for statement in count():
            place = actor, statement
            on_place(place)
            hurt = race.with_faults({place: fault})
            explored = await explore_race(hurt, effort=_EFFORT, make_judge=make_judge)
            if hurt.injected or not explored.holds:
                yield ExploredPlace(place, explored, hurt.injected)
            elif not hurt.passed_over:
                break
            if not explored.holds:
                return
