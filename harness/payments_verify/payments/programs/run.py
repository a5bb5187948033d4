"""Programs of the stateful machine: drawn and made smaller by Hypothesis, or run again call by call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as use_seed
from hypothesis.errors import Flaky, FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from payments_verify.payments.inputs.classes import needs_keys
from payments_verify.payments.observed.http_steps import HttpStep
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.machine import PaymentMachine
from payments_verify.payments.programs.of_classes import input_programs
from payments_verify.payments.programs.reproduction import Program
from payments_verify.payments.programs.tally import NoMoreProgramsError, Tally
from payments_verify.payments.service.under_test import ServiceUnderTest, SetUpError
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.result import Progress
from pgweave.visible import counted

_AMOUNT = 500


def run_machine(
    system: ServiceUnderTest,
    runner: asyncio.Runner,
    *,
    examples: int,
    steps: int,
    seed: int | None = None,
    progress: Progress | None = None,
    reuses_keys: bool = True,
    tally: Tally | None = None,
) -> tuple[Tally, MismatchError | None]:
    """Run the machine against a system until it has shown ``examples`` programs or found a mismatch.

    There is a program for each class of inputs, and then those that are drawn.

    Args:
        system: the system, open in the runner's loop.
        runner: runs the system's coroutines.
        examples: programs to draw.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew each time.
        progress: is told of each program as it begins.
        reuses_keys: whether keys are used again; if not, nothing is repeated.
        tally: where what is exercised is counted; a new one if not given.

    Returns:
        What was exercised, and the mismatch if there is one, with the shortest program found in its notes.
    """
    tally = tally or Tally()
    if progress is not None:
        tally.on_example = lambda: progress(
            tally.examples,
            max(
                examples, tally.examples
            ),  # those of classes come beside them, and those that make one smaller
            f"programs{'' if tally.first is None else ', to make a violation smaller'},"
            f" {counted(tally.steps, 'command')}",
        )
    attributes = {"system": system, "runner": runner, "tally": tally, "reuses_keys": reuses_keys}
    failure = _run_input_programs(type("Calls", (ComparedCalls,), attributes))
    if failure is None and tally.ended is None:
        machine = type("Machine", (PaymentMachine,), attributes)
        failure = run_programs(machine, examples=examples, steps=steps, seed=seed)
    stored = type("Calls", (_StoredCalls,), attributes)
    if failure is None and tally.ended is None and system.restart is not None and reuses_keys:
        failure = _run_program(stored, _StoredCalls.started_again)
    if failure is None and tally.ended is None and system.audit is not None:
        failure = _run_program(stored, _StoredCalls.stored_is_right)
    tally.smallest = failure
    return tally, failure


class _StoredCalls(ComparedCalls):
    """Calls that look at what all of them have left in the database, and start the service again, too."""

    def restart(self) -> None:
        """End the service, and start it again on the same data."""
        assert self.system.restart is not None
        self._note("restart")
        told = "end the service, and start it again on the same database"
        self.commands.append(told)
        self.http.append(HttpStep("harness", told))
        self.runner.run(self.system.restart())

    def started_again(self) -> None:
        """Answers that were given stay what they were for a process that did not give them."""
        captured, refused, untouched = (self.authorized(_AMOUNT) for _ in range(3))
        self.perform("capture", captured, key="captured", amount=_AMOUNT)
        self.perform("capture", captured, key="k1", amount=_AMOUNT)
        another = self.system.traits.another_amount(self.system.traits.amount(_AMOUNT))
        self.perform("capture", refused, key="k1", amount=another)
        self.everything_visible_agrees()
        self.restart()
        self.everything_visible_agrees()
        self.perform("capture", captured, key="captured", amount=_AMOUNT)
        self.perform("capture", captured, key="k1", amount=another)
        for payment in (refused, untouched):
            self.perform("capture", payment, key="captured", amount=_AMOUNT)
        self.everything_visible_agrees()

    def stored_is_right(self) -> None:
        """Raise MismatchError unless an audit of what is stored finds nothing."""
        self._note("stored_is_right")
        complaint = None if self.system.audit is None else self.system.audit()
        if complaint is not None:
            self.http.append(HttpStep("harness", "audit what is stored", complaint))
            raise self._mismatch(complaint, breaks=frozenset(complaint.partition(":")[0].split(", ")))


def _run_program(
    calls: type[_StoredCalls], program: Callable[[_StoredCalls], object]
) -> MismatchError | None:
    """Run a program of its own, after all others."""
    try:
        program(calls())
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return calls.tally.smallest
    return None


def _run_input_programs(calls: type[ComparedCalls]) -> MismatchError | None:
    """Run the program of each class of inputs, until one finds a mismatch."""
    try:
        for name, run in input_programs(calls.system.traits).items():
            if calls.reuses_keys or not needs_keys(name):
                program = calls()
                run(program)
                program.surface_agrees()
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return calls.tally.smallest
    return None


def run_calls(
    system: ServiceUnderTest,
    runner: asyncio.Runner,
    calls: Program,
    *,
    reuses_keys: bool,
    tally: Tally | None = None,
) -> MismatchError | None:
    """Run calls of programs once more, with other ids; what does not agree with the model, if anything.

    Args:
        system: a system, open in the runner's loop. If it is not new, keys are others too.
        runner: runs the system's coroutines.
        calls: the calls.
        reuses_keys: as the programs were run.
        tally: where what is exercised is counted; a new one if not given.
    """
    tally = tally or Tally()
    attributes = {"system": system, "runner": runner, "tally": tally, "reuses_keys": reuses_keys}
    machine = type("Calls", (_StoredCalls,), attributes)()
    ids: dict[str, str] = {}
    suffix = "" if system.is_new else f" {uuid4().hex[:12]}"
    try:
        for call in calls:
            arguments = dict(call.arguments)
            if "payment" in arguments:
                arguments["payment"] = ids.setdefault(arguments["payment"], str(uuid4()))
            if system.traits.takes_key(arguments.get("key", "") + suffix) and "key" in arguments:
                arguments["key"] += suffix
            getattr(machine, call.method)(**arguments)
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return tally.smallest or tally.ended
    return None


def run_programs(
    machine: type[PaymentMachine], *, examples: int, steps: int, seed: int | None
) -> MismatchError | None:
    """Run programs of a machine that knows its system, until they are enough or one finds a mismatch.

    Args:
        machine: the machine.
        examples: programs to try.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew each time.

    Returns:
        The mismatch, if there is one, with the shortest program found in its notes. One that does not come
        again is one all the same.

    Raises:
        Flaky: A program did otherwise when it was run again, and no mismatch was seen.
    """
    if seed is not None:
        use_seed(seed)(machine)
    try:
        # Hypothesis prints what did not come again; standard output may have to be JSON and nothing else.
        with redirect_stdout(sys.stderr):
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    database=None,
                    print_blob=False,
                    phases=(Phase.generate, Phase.shrink),
                    report_multiple_bugs=False,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return machine.tally.smallest
    except Flaky as flaky:
        seen = next((each for each in _behind(flaky) if isinstance(each, MismatchError)), None)
        seen = seen or machine.tally.smallest
        if seen is None:
            # What came first may be refused late; that is told, not that it did not come again.
            raise next((each for each in _behind(flaky) if isinstance(each, SetUpError)), flaky) from None
        return seen
    return None


def _behind(flaky: Flaky) -> Iterator[BaseException]:
    """What a program raised that did otherwise when it was run again."""
    if isinstance(flaky, FlakyFailure):
        yield from flaky.exceptions
    error: BaseException | None = flaky
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
