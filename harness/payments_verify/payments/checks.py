"""The differential machine and the capture windows as checks: systems made ready, run, and summed up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Any, TypeVar

import uvloop

from payments_verify.payments.concurrent_machine import (
    RaceMismatchError,
    RaceTally,
    contents,
    run_concurrent_machine,
)
from payments_verify.payments.drawings import Drawing, of_history, schedule
from payments_verify.payments.http_steps import HttpRun
from payments_verify.payments.http_told import http_details, http_drawings, with_http
from payments_verify.payments.input_classes import InputClasses, in_another_time_zone
from payments_verify.payments.oracle import MismatchError
from payments_verify.payments.programs import run_calls, run_machine
from payments_verify.payments.race_check import RaceRunner
from payments_verify.payments.race_shrinking import why_not_reproduced
from payments_verify.payments.reproduction import Program, as_text, reproduce
from payments_verify.payments.scenario_timeline import race_timeline
from payments_verify.payments.service_under_test import (
    EndedError,
    OpenService,
    ServiceUnderTest,
    UnansweredError,
    with_output,
)
from payments_verify.payments.tally import Tally
from payments_verify.payments.transitions import commands_reached
from payments_verify.payments.window_check import check_windows
from payments_verify.result import CheckResult, Progress, violation_kept
from pgweave.interleavings.minimize import switches
from pgweave.verdict import Verdict

_ENDED_ONCE = (
    "Nothing shows that this is the service's own doing: asked the same, just started, it does not end.\n"
    "Whoever sends such a signal (an operator, a container's limit of memory) is to be looked for first."
)
_MOST_REJECTED = 0.1
_T = TypeVar("_T")


def machine_check(
    name: str,
    open_system: OpenService,
    *,
    examples: int,
    steps: int,
    seed: int | None,
    progress: Progress | None = None,
    reuses_keys: bool = True,
) -> CheckResult:
    """Run the stateful machine against a system.

    Args:
        name: the system's name in the result.
        open_system: makes the system ready and ends it.
        examples: programs to try.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew.
        progress: is told of each program.
        reuses_keys: whether keys are used again.
    """
    started = time.monotonic()
    tally = Tally()
    printed = ""
    planned: list[str] = []
    classes = InputClasses(reuses_keys=reuses_keys)

    def result() -> CheckResult:
        return sum_up(name, tally, classes, planned, printed, time.monotonic() - started)

    def rerun(calls: Program) -> MismatchError | None:
        with opened_in(open_system(), runner) as another:
            found = run_calls(another, runner, calls, reuses_keys=reuses_keys)
        tally.told = tally.told if found is None else calls
        return found

    with (
        violation_kept(result),
        in_another_time_zone(),
        asyncio.Runner() as runner,
        opened_in(open_system(), runner) as system,
    ):
        planned += sorted(system.traits.commands.difference(system.traits.looks))  # it looks after each step
        classes.traits = system.traits
        try:
            run_machine(
                system,
                runner,
                examples=examples,
                steps=steps,
                seed=seed,
                progress=progress,
                reuses_keys=reuses_keys,
                tally=tally,
            )
            _try_again(tally, rerun)
        finally:
            printed = system.printed()
        return result()


def sum_up(
    name: str, tally: Tally, classes: InputClasses, planned: list[str], printed: str, seconds: float
) -> CheckResult:
    """The result of the machine: what was tried, and what of the classes was reached."""
    failure = tally.smallest
    told = "\n\n".join(_told(each) for each in (failure, tally.ended) if each is not None)
    told = told or classes.complaint(tally.inputs)
    verdict: Verdict = "no verdict" if told else "holds"
    return CheckResult(
        name=f"stateful machine: {name}",
        kind="differential",
        cases=tally.steps,
        verdict=verdict if failure is None else "violated",
        seconds=seconds,
        details={
            **tally.as_json(),
            "inputs": classes.as_json(tally.inputs),
            "violation": tally.first_mismatch,
            "program": None if failure is None else as_text(tally.told or tally.programs[tally.smallest_at]),
            **({} if failure is None else http_details(failure.http)),
        },
        counterexample=with_output(told, printed) or None,
        timelines=_drawings(failure, name),
        reach=commands_reached(planned, tally.outcomes),
    )


def _try_again(tally: Tally, rerun: Callable[[Program], MismatchError | None]) -> None:
    """Run what was wrong once more, on a system just started, and note what came of it."""
    if tally.smallest is not None:
        at = tally.smallest_at
        tally.smallest = reproduce(tally.smallest, tally.programs[:at], tally.programs[at], rerun)
    elif tally.ended is not None:
        again = rerun(tally.programs[-1])
        if again is None:
            tally.ended.add_note(_ENDED_ONCE)
        else:
            tally.ended = tally.kept(again)


def windows_check(
    name: str, open_system: OpenService, check: Callable[[ServiceUnderTest], Awaitable[int]] = check_windows
) -> CheckResult:
    """Check the two sides of a capture window, and the sweep.

    Args:
        name: the system's name in the result.
        open_system: makes the system ready and ends it.
        check: one payment at a time if not given.
    """
    started = time.monotonic()

    async def run() -> tuple[int, Verdict, str | None, HttpRun]:
        async with open_system() as system:
            try:
                return await check(system), "holds", None, HttpRun()
            except (MismatchError, UnansweredError) as wrong:
                stopped = isinstance(wrong, EndedError) and not wrong.end.is_its_own
                verdict: Verdict = "no verdict" if stopped else "violated"
                return 1, verdict, with_output(str(wrong), system.printed()), wrong.http
            except TimeoutError as late:
                return 0, "no verdict", str(late), HttpRun()

    cases, verdict, problem, http = asyncio.run(run())
    return CheckResult(
        name=f"capture windows: {name}",
        kind="differential",
        cases=cases,
        verdict=verdict,
        seconds=time.monotonic() - started,
        details=http_details(http),
        counterexample=None if problem is None else with_http(problem, http),
        timelines=http_drawings(http, f"capture windows: {name}"),
    )


def racing_check(
    name: str,
    open_service: OpenService,
    *,
    examples: int,
    steps: int,
    seed: int | None,
    progress: Progress | None = None,
) -> CheckResult:
    """Run the stateful machine with races against a service behind its gate.

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

    def result() -> CheckResult:
        failure = tally.smallest
        problem = _told(failure) if failure is not None else what_was_not_shown(tally)
        verdict: Verdict = "holds" if problem is None else "no verdict"
        return CheckResult(
            name=f"stateful machine with races: {name}",
            kind="differential",
            cases=tally.steps + tally.counts["commands"],
            verdict="violated" if failure is not None else verdict,
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
        if isinstance(tally.smallest, RaceMismatchError):
            with opened_in(open_service(), runner) as another:
                complaint = runner.run(why_not_reproduced(tally.smallest.race, RaceRunner(another)))
            if complaint is not None:
                tally.smallest.add_note(complaint)
        return result()


def _drawings(failure: MismatchError | None, service: str) -> tuple[Drawing, ...]:
    """The shortest program, or the race, that ended with a mismatch."""
    if isinstance(failure, RaceMismatchError):
        violation = failure.race.violation
        race = schedule(race_timeline(failure.race, service))
        return (race,) if violation.drawing is None else (race, violation.drawing)
    title = f"the shortest program found: {service}"
    return (
        ()
        if failure is None
        else (*http_drawings(failure.http, title), *of_history(title, failure.operations))
    )


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


def _told(failure: MismatchError) -> str:
    """The shortest program; where Hypothesis came to no end, and so told none, what was asked in it."""
    notes = getattr(failure, "__notes__", ()) or [
        "the smallest program so far:\n  " + "\n  ".join(failure.commands) if failure.commands else ""
    ]
    return with_http("\n".join([*filter(None, notes), f"{failure}"]), failure.http)


@contextmanager
def opened_in(context: AbstractAsyncContextManager[_T], runner: asyncio.Runner) -> Iterator[_T]:
    """What the context opens in the runner's loop, for as long as the block runs."""
    # The stack knows of it at once: an interrupt as it comes to be open must not leave it so.
    stack = AsyncExitStack()
    try:
        yield runner.run(stack.enter_async_context(context))
    finally:
        runner.run(stack.aclose())
