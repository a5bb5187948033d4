"""How a command ends that nothing else has ended: in a line, with 2, and without a traceback."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

_NOT_DONE = 2


def end_in_order(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end the process with its exit code; with 2 if an exception ended it.

    Args:
        command: ends with ``SystemExit`` and the code.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # a path may have bytes that are no text: it is shown as it is
        sys.stdout.reconfigure(errors="surrogateescape")
    code: str | int | None = _NOT_DONE
    try:
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        pass
    except OSError as error:
        _tell(str(error))
    except BaseException as error:  # noqa: BLE001 - there is nobody else to take it
        _tell(_kept(error))
    sys.exit(_when_written(code))


def end_uninstalled(error: ModuleNotFoundError) -> NoReturn:
    """End with 2, and say what to install, where only the client is.

    Args:
        error: the module that was not found; one of our own is raised on.
    """
    if error.name is None or error.name.startswith("payments_core"):
        raise error
    told = "To serve: pip install 'CHECKOUT[service]', with the folder of its sources"
    _tell(f"{error.name} is not installed. {told}")
    sys.exit(_NOT_DONE)


def _when_written(code: str | int | None) -> str | int | None:
    """Flush standard output and return the exit code. A reader that has gone does not change it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left goes nowhere
        if error.errno != errno.EPIPE:
            _tell(f"standard output could not be written to: {error}")
            return code or _NOT_DONE
    return code


def _kept(error: BaseException) -> str:
    """Write the traceback to a file; return one line with the error and the file's path."""
    shown = "".join(traceback.format_exception(error))
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    try:
        number, path = tempfile.mkstemp(prefix="payments-core-", suffix=".traceback.txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(shown)
    except OSError as unwritten:
        return f"internal error: {what}; the traceback could not be kept ({unwritten})"
    shown = os.fsencode(path).decode(errors="backslashreplace")
    return f"internal error: {what}; please report it with the traceback: {shown}"


def _tell(message: str) -> None:
    sys.stderr.write(f"payments-core: {message}\n")
