"""Schedules as files: enough to run one again, and to read what it was without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.scenarios.discovered import scenario_named
from payments_verify.payments.scenarios.named import NAMED
from pgweave.gate import Fault
from pgweave.interleavings.execution import Execution
from pgweave.visible import counted

FORMAT_NAME = "payments-verify-schedule"
FORMAT_VERSION = 1


class ScheduleError(ValueError):
    """A file that is no schedule; the message says what was wrong with it."""


class SavedStep(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A step: who took it, what it was, and how it ended."""

    process: int
    label: str
    answer: str = ""
    error: str = ""
    blocked: bool = False
    woke: tuple[int, ...] = ()


class SavedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong at a statement of a process; statements are counted from 0."""

    process: int
    statement: int
    fault: Fault


class SavedSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule of a scenario, and what was found.

    Attributes:
        format: ``payments-verify-schedule``.
        version: of the format.
        scenario: the scenario's name.
        service: what was run.
        schedule: the processes in the order of their steps: all that a replay needs.
        steps: what the steps were.
        actors: the processes' names.
        violation: what was wrong, for people; empty if nothing was.
        faults: what goes wrong; clients that got no definite answer then ask again.
    """

    format: str = FORMAT_NAME
    version: int = FORMAT_VERSION
    scenario: str
    service: str
    schedule: tuple[int, ...]
    steps: tuple[SavedStep, ...]
    actors: tuple[str, ...]
    violation: str = ""
    faults: tuple[SavedFault, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What each step was."""
        return tuple(step.label for step in self.steps)


def saved(
    scenario: Scenario,
    service: str,
    execution: Execution,
    violation: str,
    faults: tuple[SavedFault, ...] = (),
) -> SavedSchedule:
    """The schedule of an execution."""
    return SavedSchedule(
        scenario=scenario.name,
        service=service,
        schedule=execution.schedule,
        steps=tuple(
            SavedStep(
                step.process,
                step.label,
                str(step.details.get("answer", "")),
                str(step.details.get("error", "")),
                step.blocked,
                step.woke,
            )
            for step in execution.steps
        ),
        actors=tuple(actor.name for actor in scenario.actors),
        violation=violation,
        faults=faults,
    )


def write(path: Path, schedule: SavedSchedule) -> None:
    """Write a schedule as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(schedule)) + b"\n")


def read(path: Path) -> SavedSchedule:
    """Read a schedule.

    Raises:
        ScheduleError: the file cannot be read, or is no schedule of a scenario that is known here.
    """
    try:
        content: Any = msgspec.json.decode(path.read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT_NAME:
            raise ScheduleError(f"{path}: not a schedule; its format is not {FORMAT_NAME!r}")
        schedule = msgspec.convert(content, SavedSchedule)
    except OSError as error:
        raise ScheduleError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if isinstance(error, ScheduleError):
            raise
        raise ScheduleError(f"{path}: not a valid schedule: {error}") from None
    _require_runnable(path, schedule)
    return schedule


def _require_runnable(path: Path, schedule: SavedSchedule) -> None:
    if schedule.version != FORMAT_VERSION:
        raise ScheduleError(
            f"{path}: version {schedule.version} is not supported; this reads version {FORMAT_VERSION}"
        )
    scenario = scenario_named(schedule.scenario)
    if scenario is None:
        raise ScheduleError(
            f"{path}: no scenario is named {schedule.scenario!r}; there are {', '.join(NAMED)}"
        )
    processes = len(scenario.actors)
    if not all(0 <= process < processes for process in schedule.schedule):
        raise ScheduleError(f"{path}: {schedule.scenario} has processes 0 to {processes - 1} and no others")
    if schedule.steps and len(schedule.steps) != len(schedule.schedule):
        raise ScheduleError(
            f"{path}: {counted(len(schedule.steps), 'step')} for a schedule of {len(schedule.schedule)}"
        )
