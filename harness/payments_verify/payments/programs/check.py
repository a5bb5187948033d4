"""The differential machine and the capture windows as checks: systems made ready, run, and summed up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import TypeVar

from payments_verify.payments.inputs.coverage import InputClasses, in_another_time_zone
from payments_verify.payments.observed.http_steps import HttpRun
from payments_verify.payments.programs.reproduction import Program, as_text, reproduce
from payments_verify.payments.programs.run import run_calls, run_machine
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.programs.windows import check_windows
from payments_verify.payments.service.under_test import (
    EndedError,
    OpenService,
    ServiceUnderTest,
    UnansweredError,
    with_output,
)
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.specification.transitions import commands_reached
from payments_verify.payments.told.drawings import Drawing, of_history
from payments_verify.payments.told.http import http_details, http_drawings, with_http
from payments_verify.result import CheckResult, Progress, violation_kept
from pgweave.history.json_lines import written
from pgweave.verdict import Verdict

_ENDED_ONCE = (
    "Nothing shows that this is the service's own doing: asked the same, just started, it does not end.\n"
    "Whoever sends such a signal (an operator, a container's limit of memory) is to be looked for first."
)
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
    told = "\n\n".join(told_of(each) for each in (failure, tally.ended) if each is not None)
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
            **({} if failure is None else _history(failure)),
            **({} if failure is None else http_details(failure.http)),
        },
        counterexample=with_output(told, printed) or None,
        timelines=drawings_of(failure, name),
        reach=commands_reached(planned, tally.outcomes),
    )


def _history(failure: MismatchError) -> dict[str, str]:
    """What was asked and answered as a history; nothing where it shows nothing."""
    text = written(failure.operations, Payments.name).decode() if failure.operations else ""
    return {"history": text} if text else {}


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


def drawings_of(failure: MismatchError | None, service: str) -> tuple[Drawing, ...]:
    """The shortest program that ended with a mismatch."""
    if failure is None:
        return ()
    title = f"the shortest program found: {service}"
    return (*http_drawings(failure.http, title), *of_history(title, failure.operations))


def told_of(failure: MismatchError) -> str:
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
