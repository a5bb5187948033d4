"""A wrong run of a scenario, written: a schedule that can be run again, a picture and a page beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from payments_verify.payments import schedule_file
from payments_verify.payments.race_judge import Violation
from payments_verify.payments.scenario_timeline import timeline_of
from payments_verify.payments.scenarios import Scenario
from pgweave.interleavings.execution import Execution
from pgweave.timeline import html, svg, text

WIDTH = 100
"""Columns of a timeline in a counterexample."""


def draw(scenario: Scenario, service: str, execution: Execution, violation: Violation, file: Path) -> str:
    """Draw a run: ``.svg`` and ``.html`` beside its schedule's file.

    Args:
        scenario: what was raced.
        service: what was run, for people.
        execution: the run.
        violation: what is wrong with it.
        file: the schedule's file.

    Returns:
        The same as text; below it, why there is no picture where none could be written.
    """
    timeline = timeline_of(scenario, service, execution, violation)
    stem = file.name.split(".")[0]
    shown = text.render(replace(timeline, explanation=""), WIDTH)  # it stands above the picture
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / f"{stem}.svg").write_text(svg.render(timeline))
        (file.parent / f"{stem}.html").write_text(html.render(timeline))
    except OSError as error:
        return f"{shown}\nno picture could be written: {error}"
    return shown


def write_hurt(
    scenario: Scenario,
    service: str,
    execution: Execution,
    violation: Violation,
    fault: schedule_file.SavedFault,
    folder: Path,
) -> Path:
    """Write the schedule of a run in which something went wrong at a statement; the file."""
    what = fault.fault.value.replace(" ", "-")
    file = folder / f"{scenario.name}-{what}.schedule.json"
    saved = schedule_file.saved(scenario, service, execution, violation.explanation, (fault,))
    schedule_file.write(file, saved)
    return file
