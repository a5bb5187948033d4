"""The ends of a command that are no verdict: what is told, and that what was found before is not lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import typer

from payments_verify.called import TO_VERIFY
from payments_verify.cli.exits import no_verdict, rest_on
from payments_verify.cli.telling import print_error, program
from payments_verify.result import CheckEnded, CheckResult, unfinished
from pgweave import outermost
from pgweave.verdict import Verdict, worst
from pgweave.visible import visible

_T = TypeVar("_T")

_WRONG_OPTIONS = typer.BadParameter.__mro__[1:3]
_OF_THE_COMMAND_LINE: tuple[type[BaseException], ...] = (typer.Exit, *_WRONG_OPTIONS)
"""An exit code that was decided, and what is wrong with options, which the command line tells."""


def _not_ready() -> tuple[type[BaseException], ...]:
    """The errors that the machine, or a service that cannot be made ready, causes; others are bugs of ours.

    Imported when something has ended a command: one that ends well waits for nothing that it does not use.
    """
    import psycopg  # noqa: PLC0415

    from payments_verify.audit import AuditError  # noqa: PLC0415
    from payments_verify.binding import BindingFileError  # noqa: PLC0415
    from payments_verify.executors import ExecutorError  # noqa: PLC0415
    from payments_verify.payments.service.under_test import SweepError  # noqa: PLC0415
    from payments_verify.systems import CommandError, EmbeddedPostgresError, ServerError  # noqa: PLC0415
    from payments_verify.systems.dsn import DsnError  # noqa: PLC0415

    return (
        EmbeddedPostgresError,
        ServerError,
        CommandError,
        SweepError,
        BindingFileError,
        ExecutorError,
        AuditError,
        DsnError,
        OSError,
        psycopg.OperationalError,
    )


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or was caused by one."""
    from asyncio import CancelledError  # noqa: PLC0415 - as in `_not_ready`

    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, KeyboardInterrupt | CancelledError):
            return True
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        if not isinstance(each, TimeoutError):  # a limit in time is a cancellation of its own
            waiting += [each.__cause__ or each.__context__]
    return False


@contextmanager
def could_not_run() -> Iterator[None]:
    """End with exit code 2 and a message where a system cannot be made ready.

    Raises:
        typer.Exit: it cannot be.
    """
    try:
        yield
    except _not_ready() as error:
        tell_end(error)
        raise no_verdict() from error


@contextmanager
def without_verdict() -> Iterator[None]:
    """End with a message, whatever ends the block early, and with 2 unless it had found a violation.

    Raises:
        typer.Exit: it was ended.
    """
    try:
        yield
    except _OF_THE_COMMAND_LINE as error:
        if isinstance(error, _WRONG_OPTIONS):
            vars(error)["message"] = visible(f"{error}")
        raise
    except BaseException as error:  # noqa: BLE001 - exit code 1 is a violation and nothing else
        code = outermost.code_if_ended()
        tell_end(error, "no verdict" if code == outermost.NO_VERDICT else "a violation had been found")
        raise typer.Exit(code) from None
    finally:
        outermost.forget()


@dataclass
class Ended:
    """How a block ended: called, it says whether the block came to its end.

    Attributes:
        why: what ended it early; ``None`` if nothing did.
    """

    why: str | None = None

    def __call__(self) -> bool:
        """Whether it came to its end."""
        return self.why is None


@contextmanager
def keep_finished(so_far: Callable[[], Verdict]) -> Iterator[Ended]:
    """Tell what ends the block early, and go on: the command then shows what was finished.

    From then on an interrupt waits until that is shown.

    Args:
        so_far: the verdict on what was found by now.

    Yields:
        Says, after the block, whether it came to its end.
    """
    ended = Ended()
    rest_on(so_far)
    try:
        yield ended
    except _OF_THE_COMMAND_LINE:
        raise
    except BaseException as error:  # noqa: BLE001 - it is told, and what was found before stays found
        outermost.hold_interrupts()
        ended.why = tell_end(error, "this is what was finished")
    outermost.hold_interrupts()


def run_check(name: str, run: Callable[[], CheckResult], results: list[CheckResult]) -> None:
    """Add what a check finds to the results, or why it has no verdict; an interrupt goes on to the caller.

    Args:
        name: the check's name where it came to no result.
        run: runs it.
        results: those of the command.
    """
    try:
        results.append(run())
    except CheckEnded as found:
        results.append(found.result)
        if was_interrupted(found):
            raise
        tell_end(found.__cause__ or found)
    except _OF_THE_COMMAND_LINE:
        raise
    except BaseException as error:
        if was_interrupted(error):
            raise
        results.append(unfinished(name, tell_end(error)))


def write_or_tell(write: Callable[[], _T]) -> _T | None:
    """Write a page or a report; if that fails, tell why and give ``None``."""
    try:
        return write()
    except OSError as error:
        tell_end(error)
        return None


def result_of_the_rest() -> CheckResult:
    """The result that stands for the checks that did not run because the command was ended early."""
    return replace(unfinished("the rest", "interrupted before it ran"), kind="interrupted")


def run_alone(name: str, run: Callable[[], CheckResult]) -> list[CheckResult]:
    """Run the only check of a command; if it is ended early, the result is what it had found."""
    results: list[CheckResult] = []
    with keep_finished(lambda: worst(each.verdict for each in results)) as whole:
        run_check(name, run, results)
    return results if results or whole() else [unfinished(name, "interrupted; nothing was found before")]


def tell_end(error: BaseException, what_is_left: str = "no verdict") -> str:
    """Tell what ended the work, and give the message."""
    if was_interrupted(error):
        message = f"interrupted; {what_is_left}"
        outermost.tell(message)
        return message
    leaves = list(_leaves(error))
    if not all(isinstance(each, _not_ready()) for each in leaves):
        return outermost.tell_internal_error(program.get(), error, TO_VERIFY)
    told = dict.fromkeys(str(each) or type(each).__name__ for each in leaves)
    message = outermost.legible("; ".join(told))
    print_error(message)
    return message


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
