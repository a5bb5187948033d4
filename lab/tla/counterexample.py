"""TLC's counterexample as a schedule that runs against a real database, through the gate.

A step of the specification is a statement that the gate holds, but for one: that a statement which waited
goes on is no step of its own behind the gate; there it belongs to the step that let it go on. Weakened models
therefore let waiters go on at once and in turn, as the gate does, and these steps are left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.tla.models import Model
from lab.tla.output import Found, TracedState
from lab.tla.values import Value
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.payments.scenarios.schedule_file import SavedSchedule

SERVICE = "in process"
"""What the schedules are for: a service over PostgreSQL, in this process."""

_NO_STATEMENT = ("Wake",)
_FAULTS = ("Cut", "LoseAnswer", "Crash")


class NoScheduleError(ValueError):
    """A counterexample that is no schedule of a scenario; the message says why."""


@dataclass(frozen=True)
class Counterexample:
    """A run that the specification allows and a property forbids.

    Attributes:
        model: the name of its model.
        violated: the property.
        schedule: the run as a schedule.
        answers: what each process was answered, in order; the outcomes' names.
    """

    model: str
    violated: str
    schedule: SavedSchedule
    answers: tuple[tuple[str, ...], ...]


def counterexample(model: Model, found: Found) -> Counterexample:
    """What TLC has found in a model, as a schedule.

    Raises:
        NoScheduleError: nothing is violated, the model is no scenario's, or the run has faults.
    """
    if found.violated is None:
        raise NoScheduleError(
            f"{model.name}: {found.error or 'everything holds, so there is no counterexample'}"
        )
    if model.scenario not in NAMED:
        raise NoScheduleError(f"{model.name}: it models no scenario, so nothing could run its schedule")
    actors = tuple(actor.name for actor in NAMED[model.scenario].actors)
    at_the_end = found.trace[-1].variables["answers"]
    if len(at_the_end) != len(actors):
        raise NoScheduleError(
            f"{model.name}: {len(at_the_end)} processes, where {model.scenario} has {len(actors)}"
        )
    return Counterexample(
        model.name,
        found.violated,
        SavedSchedule(
            scenario=model.scenario,
            service=SERVICE,
            schedule=tuple(_schedule(model, found.trace)),
            steps=(),
            actors=actors,
            violation=f"TLC: {found.violated} does not hold in {model.name}",
        ),
        tuple(
            tuple(each["outcome"] for each in _by_process(at_the_end, process))
            for process in range(len(actors))
        ),
    )


def _schedule(model: Model, trace: Sequence[TracedState]) -> list[int]:
    schedule = []
    for before, after in pairwise(trace):
        if after.action in _FAULTS:
            raise NoScheduleError(
                f"{model.name}: the run has a fault ({after.action}), which no schedule has"
            )
        if after.action not in _NO_STATEMENT:
            schedule.append(_mover(before, after))
    return schedule


def _mover(before: TracedState, after: TracedState) -> int:
    """Who has taken a step: it stands elsewhere now, or waits."""
    moved = [
        process
        for process in range(len(after.variables["at"]))
        if _by_process(before.variables["at"], process) != _by_process(after.variables["at"], process)
    ]
    waiting = after.variables["queue"]
    if not moved and len(waiting) > len(before.variables["queue"]):
        moved = [waiting[-1]]
    if not moved:  # it was answered, and stands where it stood: a second command of the same kind
        moved = [
            process
            for process in range(len(after.variables["at"]))
            if _by_process(before.variables["answers"], process)
            != _by_process(after.variables["answers"], process)
        ]
    if len(moved) != 1:
        raise NoScheduleError(f"{after.action}: {len(moved)} processes took this step")
    process: int = moved[0]
    return process


def _by_process(function: Value, process: int) -> Value:
    """A function's value at a process: TLC prints one whose arguments are 1 to n as a sequence."""
    return function[process - 1] if isinstance(function, tuple) else function[process]
