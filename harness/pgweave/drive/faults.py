"""A race with a fault at each statement of its actors, one at a time, each time in every order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Generic

from pgweave.drive.arrivals import UNCHANGED, Arrivals
from pgweave.drive.domain import Judge, Violation
from pgweave.drive.exploration import Explored, explore_race
from pgweave.drive.race import Place, Race
from pgweave.gate import Fault


@dataclass(frozen=True)
class ExploredPlace(Generic[Violation]):
    """What an exploration with a fault at one place has found.

    Attributes:
        place: the actor, and its statement.
        explored: what was found.
        injected: in how many runs the fault was injected.
        alike: the fault whose exploration at this place stands for this one's; ``None`` if this was explored.
        tried: runs in which it was compared with others, and that are not among those that explored it.
    """

    place: Place
    explored: Explored[Violation]
    injected: int
    alike: Fault | None = None
    tried: int = 0


async def explore_faults(
    race: Race[Violation],
    fault: Fault,
    actors: Iterable[int],
    *,
    make_judge: Callable[[], Judge[Violation]] | None = None,
    arrivals: Arrivals[Violation] | None = None,
    on_place: Callable[[Place], object] = lambda _place: None,
) -> AsyncIterator[ExploredPlace[Violation]]:
    """Explore with the fault at each statement, one at a time, up to the first place that does not hold.

    Places at which PostgreSQL never raises such an error are passed over.

    Args:
        race: the race.
        fault: what goes wrong.
        actors: whose statements are hurt.
        make_judge: makes the judge of one place's runs; the domain's if not given.
        arrivals: what is known of the ways to each place, from other faults in the same race.
        on_place: is told of each place as it is begun.
    """
    await race.prepare()
    arrivals = arrivals or Arrivals(compares=False)
    make_judge = make_judge or (lambda: race.domain.judge(hurt=True))
    ways = await arrivals.ways(race)
    for actor in actors:
        for statement in count():
            place = actor, statement
            if ways is not None and place not in ways:
                break
            on_place(place)
            hurt = race.with_faults({place: fault})
            tried = await arrivals.tried(hurt, place, make_judge)
            if tried is not None and not hurt.injected:
                continue
            if tried is not None and tried.alike is not None:
                yield ExploredPlace(place, tried.explored, hurt.injected, tried.alike)
                continue
            explored = await explore_race(hurt, effort=UNCHANGED, make_judge=make_judge)
            if hurt.injected or not explored.holds:
                yield ExploredPlace(place, explored, hurt.injected, tried=len(tried.runs) if tried else 0)
            elif not hurt.passed_over:
                break
            if not explored.holds:
                return
