"""The outermost handler of a command: what no other code has caught ends without a verdict, and is told.

Exit code 1 says that a violation was found. Python itself ends with 1 after an uncaught exception, and with
120 where standard output cannot be written to at the end. A command that runs in here ends with neither.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedWriter, FileIO, RawIOBase, TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

VIOLATED, NO_VERDICT = 1, 2
INTERRUPTED_AFTER = "interrupted; a violation had been found"
_INSTALL = "Install it."


class Output(RawIOBase):
    """A stream of the process, whose failures do not end the process.

    Attributes:
        problem: the first failure; ``None`` if everything was written.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._file = FileIO(number, "wb", closefd=False)
        self.problem: OSError | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The file descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()

    def write(self, data: ReadableBuffer) -> int:
        """Write, or drop what cannot be written."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.problem = self.problem or error
            return memoryview(data).nbytes

    @property
    def is_lost(self) -> bool:
        """Whether somebody who still reads lacks something: who has closed the pipe wants no more."""
        return self.problem is not None and self.problem.errno != errno.EPIPE


@dataclass
class _End:
    """How the command that runs would end now.

    Attributes:
        code: the exit code that follows from what it has found.
        handlers: the handlers of signals that are held back, as they were.
        is_the_process: whether the process ends with it.
    """

    code: Callable[[], int] = lambda: NO_VERDICT
    handlers: dict[signal.Signals, Any] = field(default_factory=dict)
    is_the_process: bool = False


_end = _End()


def rest_on(code: Callable[[], int]) -> None:
    """Let what ends the command early end it with 1, if that is the exit code of what was found by then."""
    _end.code = code


def code_if_ended() -> int:
    """The exit code of a command that is ended early: 1 if it had found a violation, else 2."""
    return VIOLATED if _end.code() == VIOLATED else NO_VERDICT


def hold_interrupts() -> None:
    """Hold the first interrupt back until the command has ended; a second one ends it.

    From when a verdict is known: so it is told, and its exit code is the command's.
    """
    if _end.handlers or threading.current_thread() is not threading.main_thread():
        return
    held = 0

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        held += 1
        if held > 1:
            signal.default_int_handler(number, frame)

    for each in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(each)):
            _end.handlers[each] = signal.signal(each, hold)


def forget() -> None:
    """Forget what a command had found, and hold nothing back; but not while the process ends with it."""
    if _end.is_the_process:
        return
    _end.code = _End.code
    while _end.handlers:
        signal.signal(*_end.handlers.popitem())


def run(program: str, command: Callable[[], object], to_install: str = _INSTALL) -> NoReturn:
    """Run a command, and end the process with its exit code, or with 2 if an exception ended it.

    Args:
        program: its name, for messages.
        command: ends with ``SystemExit`` and the code.
        to_install: what to do if a package is missing, as a sentence.
    """
    output, _ = (_forgiving(number) for number in (1, 2))
    _end.is_the_process = True
    code = _code_of(program, command, to_install)
    hold_interrupts()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if output.is_lost:
        tell(f"{program}: standard output could not be written to: {output.problem}")
        code = code or NO_VERDICT
    sys.exit(code)


def _code_of(program: str, command: Callable[[], object], to_install: str = _INSTALL) -> int:
    try:
        command()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else NO_VERDICT
    except KeyboardInterrupt:
        tell("interrupted; no verdict" if code_if_ended() == NO_VERDICT else INTERRUPTED_AFTER)
    except BaseException as error:  # noqa: BLE001 - there is nobody else to take it
        tell_internal_error(program, error, to_install)
    else:
        return 0
    return code_if_ended()


def tell_internal_error(program: str, error: BaseException, to_install: str = _INSTALL) -> str:
    """Say on standard error that a command has no verdict because of a bug of its own, and where it is.

    A package that is missing is no bug, and is named; a module of one that is there is.

    The traceback goes to a file of the folder for temporary files; where none can be written, it is told.

    Returns:
        What was told.
    """
    if isinstance(error, ModuleNotFoundError) and "." not in str(error.name):
        message = f"{error.name} is not installed. {to_install}"
        tell(f"{program}: {message}")
        return message
    shown = "".join(traceback.format_exception(error))
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    verdict = ", no verdict" if code_if_ended() == NO_VERDICT else ""
    message = legible(f"internal error{verdict}: {what}; {_kept(program, shown)}")
    tell(f"{program}: {message}")
    return message


def legible(message: str) -> str:
    """The message as results can hold it: the name of a file may have bytes that are no text."""
    return message.encode(errors="backslashreplace").decode()


def _kept(program: str, shown: str) -> str:
    try:
        number, path = tempfile.mkstemp(prefix=f"{program}-", suffix=".traceback.txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(shown)
    except OSError as error:
        return f"the traceback could not be written to a file ({error}):\n{shown}"
    return f"please report it with the traceback: {os.fsencode(path).decode(errors='backslashreplace')}"


def tell(message: str) -> None:
    """Say something on standard error, if it can be said at all."""
    # What it quotes moves no cursor. `visible` is not imported: it needs a library, and this must not.
    shown = "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in message
    )
    with suppress(OSError, ValueError):
        print(shown, file=sys.stderr, flush=True)  # noqa: T201 - before, and beside, everything that prints better


def _forgiving(number: int) -> Output:
    """Let one of the process' two streams forgive; one that is closed leads nowhere."""
    try:
        os.fstat(number)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    output = Output(number)
    name = {1: "stdout", 2: "stderr"}[number]
    # A history's strings and a file's name may hold what the terminal's encoding has no character for.
    text = TextIOWrapper(
        BufferedWriter(output),
        encoding=getattr(getattr(sys, name), "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or output.isatty(),
        write_through=False,
    )
    setattr(sys, name, text)
    return output
