"""Programs of the stateful machine as files: enough to run one again on a service with a binding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from payments_verify.payments.programs.reproduction import Call, Program
from payments_verify.result import CheckResult


class ProgramError(ValueError):
    """A file that is no program; the message says what was wrong with it."""


class SavedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of the machine: one of its methods, and the arguments."""

    method: Literal["set_clock", "perform", "refused", "refused_as_malformed", "expire", "restart"]
    arguments: dict[str, Any]


class SavedProgram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program, and what was found.

    Attributes:
        format: ``payments-verify-program``.
        version: of the format.
        service: what was run, for people.
        reuses_keys: whether its keys are used again.
        processes: how many processes of the service have to serve.
        calls: its calls.
        violation: what was wrong, for people.
    """

    format: Literal["payments-verify-program"] = "payments-verify-program"
    version: Literal[1] = 1
    service: str
    reuses_keys: bool
    processes: int = 1
    calls: tuple[SavedCall, ...]
    violation: str = ""

    @property
    def program(self) -> Program:
        """Its calls, to be run."""
        return [Call(call.method, call.arguments) for call in self.calls]


def with_file(
    result: CheckResult, service: str, path: Path, *, reuses_keys: bool, replay: str
) -> CheckResult:
    """Write the program, and its history, with which a check found a violation, and say how it is run again.

    Args:
        result: the check's; it is given back as it is if there is no program.
        service: what was run, for people.
        path: the file.
        reuses_keys: whether the program's keys are used again.
        replay: the command line that runs a file again, but for the file.
    """
    calls = result.details.get("program")
    if calls is None or result.counterexample is None:
        return result
    saved = SavedProgram(
        service=service,
        reuses_keys=reuses_keys,
        processes=result.details.get("processes", 1),
        calls=msgspec.convert(json.loads(calls), tuple[SavedCall, ...]),
        violation=result.counterexample,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Its amounts may be larger than msgspec writes.
        path.write_text(json.dumps(msgspec.to_builtins(saved), indent=1) + "\n", encoding="utf-8")
        if "history" in result.details:
            history = path.parent / f"{path.name.split('.')[0]}.history.jsonl"
            history.write_text(result.details["history"], encoding="utf-8")
    except OSError as error:
        told = f"the program cannot be written: {error}"
    else:
        told = f"run it again: {replay} {path}"
    return replace(result, counterexample=f"{result.counterexample}\n\n{told}")


def is_program(path: Path) -> bool:
    """Whether a file says that it is a program."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == "payments-verify-program"


def read(path: Path) -> SavedProgram:
    """Read a program.

    Raises:
        ProgramError: the file cannot be read, or is no program that can be run here.
    """
    try:
        return msgspec.convert(json.loads(path.read_bytes()), SavedProgram)
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"{path}: not a valid program: {error}") from None
