"""The stateful machine with races as a check: what was drawn, and what it shows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop

from payments_verify.payments.inputs.coverage import InputClasses
from payments_verify.payments.programs.check import drawings_of, opened_in, told_of
from payments_verify.payments.races.machine import (
    RaceMismatchError,
    RaceTally,
    contents,
    run_concurrent_machine,
)
from payments_verify.payments.races.runner import RaceRunner
from payments_verify.payments.races.shrinking import why_not_reproduced
from payments_verify.payments.races.timeline import race_timeline
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.told.drawings import Drawing, schedule
from payments_verify.result import CheckResult, Progress, violation_kept
from pgweave.interleavings.minimize import switches
from pgweave.verdict import Verdict

_MOST_REJECTED = 0.1


def racing_check(
    name: str,
    open_service: OpenService,
    *,
    examples: int,
    steps: int,
    seed: int | None,
    progress: Progress | None = None,
) -> CheckResult:
    """Run the stateful machine with races against a service behind its gate, and audit what all have stored.

    Args:
        name: the system's name in the result.
        open_service: makes the service ready, behind its gate, on a new database, and ends it. It is called
            again for a race that failed, to see whether the race fails alone.
        examples: programs to try.
        steps: commands and races in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew.
        progress: is told of each program.
    """
    started = time.monotonic()
    tally = RaceTally()
    classes = InputClasses()
    damage: str | None = None

    def result() -> CheckResult:
        failure = tally.smallest
        problem = told_of(failure) if failure is not None else damage or what_was_not_shown(tally)
        verdict: Verdict = "holds" if problem is None else "no verdict"
        return CheckResult(
            name=f"stateful machine with races: {name}",
            kind="differential",
            cases=tally.steps + tally.counts["commands"],
            verdict="violated" if failure is not None or damage is not None else verdict,
            seconds=time.monotonic() - started,
            details=tally.as_json() | {"inputs": classes.as_json(tally.inputs)} | _raced(tally, failure),
            counterexample=problem,
            timelines=_drawings(failure, name),
        )

    with violation_kept(result), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with opened_in(open_service(), runner) as service:
            classes.traits = service.traits
            run_concurrent_machine(
                service, runner, examples=examples, steps=steps, seed=seed, progress=progress, tally=tally
            )
            if tally.smallest is None and service.audit is not None:
                damage = service.audit()
        if isinstance(tally.smallest, RaceMismatchError):
            with opened_in(open_service(), runner) as another:
                complaint = runner.run(why_not_reproduced(tally.smallest.race, RaceRunner(another)))
            if complaint is not None:
                tally.smallest.add_note(complaint)
        return result()


def _drawings(failure: MismatchError | None, service: str) -> tuple[Drawing, ...]:
    """The race, or the shortest program, that ended with a mismatch."""
    if not isinstance(failure, RaceMismatchError):
        return drawings_of(failure, service)
    race, refuted = schedule(race_timeline(failure.race, service)), failure.race.violation.drawing
    return (race,) if refuted is None else (race, refuted)


def _raced(tally: RaceTally, failure: MismatchError | None) -> dict[str, Any]:
    races = {
        "judged": tally.races,
        "repeated": tally.repeated,
        "rejected": tally.rejected,
        **tally.counts,
        "outcomes": dict(sorted(tally.race_outcomes.items())),
    }
    if not isinstance(failure, RaceMismatchError):
        return {"races": races, "failing_race": None}
    failing = {
        **contents(failure.race.actors),
        "switches": switches(failure.race.execution.schedule),
        "schedule": failure.race.execution.schedule,
        "program": failure.program,
    }
    return {"races": races, "failing_race": failing}


def what_was_not_shown(tally: RaceTally) -> str | None:
    """Why a run without a mismatch shows nothing; ``None`` if it does."""
    if tally.unrepeatable:
        return f"a program did otherwise when it was run again: {tally.problem}"
    if tally.rejected > tally.races * _MOST_REJECTED:
        return f"{tally.rejected} races could not be run and {tally.races} could; the last: {tally.problem}"
    return None if tally.races else "no race was drawn: more programs are needed"
