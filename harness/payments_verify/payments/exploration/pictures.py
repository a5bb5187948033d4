"""A wrong run of a scenario, written: a schedule that can be run again, a picture and a page beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from payments_verify.payments.races.history import history_of
from payments_verify.payments.races.judge import Judge, Violation, check_order
from payments_verify.payments.races.timeline import timeline_of
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.specification.spec import Payments
from payments_verify.result import CheckResult
from pgweave.history.json_lines import written
from pgweave.interleavings.execution import Execution
from pgweave.timeline import html, svg, text
from pgweave.timeline.model import Timeline

WIDTH = 100
"""Columns of a timeline in a counterexample."""


def draw(scenario: Scenario, service: str, execution: Execution, violation: Violation, file: Path) -> str:
    """Draw a run: ``.svg`` and ``.html`` beside its schedule's file; its history, if that shows it.

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
        refuted = _refuted_order(execution)
        if refuted is not None:
            operations, _ = history_of(execution.result, refuted)
            (file.parent / f"{stem}.history.jsonl").write_bytes(written(operations, Payments.name))
    except OSError as error:
        return f"{shown}\nno picture could be written: {error}"
    return shown


def _refuted_order(execution: Execution) -> Sequence[int] | None:
    """The order of a run's steps whose history is not linearizable; ``None`` if something else is wrong."""
    orders = Judge().orders(execution)
    return next((each for each in orders if isinstance(check_order(execution.result, each), Violation)), None)


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


def with_pictures(result: CheckResult, folder: Path, stem: str) -> CheckResult:
    """Write a picture and a page of the requests with which a check found something, and say where.

    Args:
        result: the check's; it is given back as it is if it draws nothing.
        folder: where they go.
        stem: the files' name.
    """
    drawn = next((each["timeline"] for each in result.timelines if each["kind"] == "schedule"), None)
    if drawn is None or result.counterexample is None:
        return result
    timeline = msgspec.convert(drawn, Timeline)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.svg").write_text(svg.render(timeline))
        (folder / f"{stem}.html").write_text(html.render(timeline))
    except OSError as error:
        told = f"no picture could be written: {error}"
    else:
        told = f"picture: {folder / stem}.svg, and as a page: {folder / stem}.html"
    return replace(result, counterexample=f"{result.counterexample}\n\n{told}")
