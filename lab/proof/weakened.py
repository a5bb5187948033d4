"""Protocols that are weakened at one place: the induction fails there, and a run shows what follows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab.proof.check import Obligation, Proof
from lab.proof.counterexample import Counterexample, NoCounterexampleError, find
from lab.proof.few import Frozen, Race, Values, frozen, initial, steps
from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES, Conjunct, StepProperty
from lab.proof.protocol import Protocol
from lab.proof.races import AUTHORIZED, FAULTS, RACES, STANDBY_FAULTS, WINDOW
from lab.proof.vocabulary import Clock, LookUp, Options, State
from payments_verify.result import CheckResult, Progress, no_progress

_PROPERTIES: Mapping[str, Conjunct | StepProperty] = {
    **{each.name: each for each in CONJUNCTS},
    **{each.name: each for each in STEP_PROPERTIES},
}


@dataclass(frozen=True)
class Weakened:
    """A protocol that lacks one thing.

    Attributes:
        words: what is weakened.
        options: the protocol.
        race: who races in the run that shows it.
        loses: the property that the run breaks.
        faults: what may go wrong in it.
    """

    words: str
    options: Options
    race: Race
    loses: str
    faults: Sequence[str] = ()


def _race(name: str, faults: int = 0) -> Race:
    return Race(RACES[name], {0: AUTHORIZED}, WINDOW, faults=faults, constraints=False)


WEAKENED: Mapping[str, Weakened] = {
    "no-lock": Weakened(
        "the row is not locked",
        Options(locking=False),
        _race("different-keys"),
        "one is told",
    ),
    "look-up-before-lock": Weakened(
        "the key is looked up before the lock",
        Options(look_up=LookUp.BEFORE),
        _race("same-key-twice"),
        "attempts stay",
    ),
    "look-up-in-lock": Weakened(
        "the key is looked up in the locking statement",
        Options(look_up=LookUp.IN),
        _race("same-key-twice"),
        "attempts stay",
    ),
    "clock-in-lock": Weakened(
        "the clock is read in the locking statement",
        Options(clock=Clock.IN),
        _race("window-closes-behind-lock"),
        "granted in time",
    ),
    "clock-at-start": Weakened(
        "the time is that of the transaction's start, as now() is",
        Options(clock=Clock.START),
        _race("window-closes-behind-lock"),
        "granted in time",
    ),
    "key-committed-before": Weakened(
        "the attempt is committed before the payment is moved",
        Options(key_with_capture=False),
        _race("different-keys", faults=1),
        "captures",
        faults=FAULTS,
    ),
    "sweeper-without-guard": Weakened(
        "the sweeper locks nothing",
        Options(sweeper_locks=False),
        _race("capture-and-sweep"),
        "moves are legal",
    ),
    "commit-before-update": Weakened(
        "the lock is given back before the payment is moved",
        Options(commit_last=False),
        _race("different-keys"),
        "one is told",
    ),
    "replay-does-not-wait": Weakened(
        "a replay does not wait until what it answers with is durable",
        Options(replays_wait=False),
        _race("same-key-twice", faults=2),
        "answers stay true",
        faults=STANDBY_FAULTS,
    ),
}
"""The weakened protocols, by name; the models of the TLA+ specification have `weakened-` before theirs."""


@dataclass(frozen=True)
class WeakenedRun:
    """A shortest run to where a property does not hold.

    Attributes:
        steps: what was done, by whom.
        states: the states, the first included.
        loses: the property.
    """

    steps: Sequence[str]
    states: Sequence[State]
    loses: Conjunct | StepProperty


@dataclass
class Refutation:
    """What became of a weakened protocol.

    Attributes:
        failing: the obligations that are not proved.
        induction: a step that leads out of the invariant.
        run: a run that breaks a property.
    """

    failing: Sequence[Obligation]
    induction: Counterexample | None = None
    run: WeakenedRun | None = None
    problems: list[str] = field(default_factory=list)


def refute(weakened: Weakened) -> Refutation:
    """Try to prove a weakened protocol, and show why that fails."""
    proof = Proof(weakened.options)
    failing = [each for each in proof.obligations() if each.proved is not True]
    found = Refutation(failing)
    if not failing:
        found.problems.append("the weakened protocol is proved: what it lacks is not needed")
    for each in failing:
        try:
            found.induction = find(proof, each.step, _PROPERTIES[each.goal], proof.conjuncts)
            break
        except NoCounterexampleError:
            continue
    if failing and found.induction is None:
        found.problems.append("no counterexample to induction has so few clients")
    found.run = shortest_run(weakened)
    if found.run is None:
        found.problems.append(f"no run of the race breaks {weakened.loses!r}")
    return found


def check_refuted(name: str, *, progress: Progress = no_progress) -> CheckResult:
    """See that a weakened protocol is not proved, and that a run shows why.

    Returns:
        ``holds`` if it is refuted: obligations fail, one has a counterexample to induction, and a run breaks
        the property. The cases are the obligations that fail.
    """
    started = time.perf_counter()
    progress(0, 1, name)
    found = refute(WEAKENED[name])
    run = found.run.steps if found.run is not None else ()
    return CheckResult(
        name=f"refuted: {WEAKENED[name].words}",
        kind="proof",
        cases=len(found.failing),
        verdict="violated" if found.problems else "holds",
        seconds=time.perf_counter() - started,
        details={
            "failing": [f"{each.step}: {each.goal}" for each in found.failing],
            "run": list(run),
            "clients": {
                "induction": len(found.induction.race.clients) if found.induction is not None else None,
                "run": len({step.partition(":")[0] for step in run}),
            },
        },
        counterexample="\n".join(found.problems) or None,
    )


def shortest_run(weakened: Weakened) -> WeakenedRun | None:
    """The shortest run of its race that breaks the property; ``None`` if none does."""
    race, goal = weakened.race, _PROPERTIES[weakened.loses]
    protocol = Protocol(Values(race), weakened.options)
    begin = initial(protocol, race)
    came_from: dict[tuple[Frozen, int], tuple[tuple[Frozen, int], str] | None] = {
        (frozen(begin), race.faults): None
    }
    states = {(frozen(begin), race.faults): begin}
    waiting = deque(states)
    while waiting:
        here = waiting.popleft()
        for name, after, left in steps(protocol, race, states[here], here[1], weakened.faults):
            there = (frozen(after), left)
            new = there not in states
            if new:
                states[there], came_from[there] = after, (here, name)
                waiting.append(there)
            if not _holds(goal, protocol, states[here], after, int(name.partition(":")[0])):
                way = [*_way(came_from, here), (name, there)]
                walked = [begin, *(states[place] for _, place in way)]
                return WeakenedRun([step for step, _ in way], walked, goal)
    return None


def _holds(
    goal: Conjunct | StepProperty, protocol: Protocol, before: State, after: State, client: int
) -> bool:
    if isinstance(goal, Conjunct):
        return bool(goal.says(protocol, after))
    return bool(goal.says(protocol, before, after, client))


def _way(
    came_from: Mapping[tuple[Frozen, int], tuple[tuple[Frozen, int], str] | None], place: tuple[Frozen, int]
) -> list[tuple[str, tuple[Frozen, int]]]:
    """The steps that led to a place, in their order."""
    way = []
    while (step := came_from[place]) is not None:
        way.append((step[1], place))
        place = step[0]
    return way[::-1]
