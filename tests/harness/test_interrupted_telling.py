"""An interrupt while a command tells a violation changes neither what it tells nor its exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from pgweave import outermost
from pgweave.cli import app as engine
from pgweave.result import Result

FILES = Path(__file__).parents[1] / "pgweave" / "histories"
BAD = str(FILES / "cas-register-bad-stale-read.jsonl")
VIOLATED = CheckResult("x", "x", 1, "violated", 0.0, counterexample="the capture\nwas lost")
POINTS = 25
"""At how many points of its printing each command is interrupted."""


@contextmanager
def examined(*_arguments: object, **_options: object) -> Iterator[Examination]:
    yield Examination("a service", in_memory)


def examine(*_arguments: object, results: list[LevelResult], **_options: object) -> None:
    results.append(LevelResult(1, "violated", (VIOLATED,)))


def replayed(*_arguments: object, **_options: object) -> Result:
    return Result(1, complete=True, problem="lost", picture="a picture", schedule=(), labels=())


def nothing(_target: str) -> dict[str, object]:
    return {}


class OneAudit:
    """A report of an audit that found something."""

    verdict, found, findings = "violated", 1, ["it is lost"]

    def as_json(self) -> dict[str, str]:
        return {"verdict": "violated"}


def audit(*_arguments: object, on_begin: Callable[[object], object], **_options: object) -> None:
    on_begin(OneAudit())


def wrong(*_arguments: object, **_options: object) -> CheckResult:
    return VIOLATED


MACHINE = ["machine", "--system", "in-memory"]
CONFORMANCE = ["conformance", "--url", "http://127.0.0.1:1", "--seed", "1"]
COMMANDS: dict[str, tuple[Any, list[str], dict[str, object]]] = {
    "machine": (
        app,
        ["machine", "--system", "in-memory"],
        {"differential.machine_check": lambda *_, **__: VIOLATED},
    ),
    "machine, JSON": (
        app,
        ["machine", "--system", "in-memory", "--json"],
        {"differential.machine_check": lambda *_, **__: VIOLATED},
    ),
    "history": (app, ["history", BAD], {}),
    "history, JSON": (app, ["history", BAD, "--json"], {}),
    "conformance": (app, CONFORMANCE, {"conformance.examined": examined, "conformance.examine": examine}),
    "conformance, JSON": (
        app,
        [*CONFORMANCE, "--json"],
        {"conformance.examined": examined, "conformance.examine": examine},
    ),
    "audit": (app, ["audit", "postgresql://127.0.0.1/x", "--json"], {"audit.run_audit": audit}),
    "the engine's history": (engine, ["history", BAD], {}),
    "the engine's history, JSON": (engine, ["history", BAD, "--json"], {}),
    "the engine's replay": (
        engine,
        ["replay", "x", "x:y"],
        {"replay": replayed, "arguments_in": lambda *_: {}},
    ),
}


class Interrupting:
    """Counts the calls from when interrupts are held back, and interrupts at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.calls: int | None = None
        self.at = at

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if frame.f_code is outermost.forget.__code__:
            sys.setprofile(None)
        elif event == "call":
            self.calls = (self.calls or 0) + 1
            if self.calls == self.at:
                signal.raise_signal(signal.SIGINT)


def run(command: str, interrupting: Interrupting, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    cli, arguments, patched = COMMANDS[command]
    for place, stub in patched.items():
        module = import_module(
            "pgweave.cli" if cli is engine else f"payments_verify.cli.{place.split('.')[0]}"
        )
        monkeypatch.setattr(module, place.rpartition(".")[2], stub)
    hold = outermost.hold_interrupts

    def hold_and_count() -> None:
        hold()
        if interrupting.calls is None:
            interrupting.calls = 0
            sys.setprofile(interrupting)

    monkeypatch.setattr(outermost, "hold_interrupts", hold_and_count)
    try:
        done = CliRunner().invoke(cli, arguments)
    finally:
        sys.setprofile(None)
        monkeypatch.undo()
    return done.exit_code, done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_what_was_found_is_told_whole(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Interrupting()
    code, told = run(command, counting, monkeypatch)
    assert (code, bool(told)) == (1, True), told
    assert counting.calls
    before = signal.getsignal(signal.SIGINT)
    for at in sorted({1, 2, 3, *range(4, counting.calls, max(1, counting.calls // POINTS))}):
        interrupted, said = run(command, Interrupting(at), monkeypatch)
        assert interrupted == 1, at
        assert len(said.splitlines()) == len(told.splitlines()), at
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_ends_the_telling_the_code_is_that_of_the_violation(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("payments_verify.cli.differential")
    monkeypatch.setattr(module, "machine_check", wrong)

    def end(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(import_module("payments_verify.cli.running"), "show", end)
    done = CliRunner().invoke(app, MACHINE)
    assert done.exit_code == 1
    assert ("a violation had been found" in done.stderr) == (error is KeyboardInterrupt)
    assert "no verdict" not in done.stderr


def test_what_holds_is_no_violation_if_its_telling_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("payments_verify.cli.differential")
    holds = CheckResult("x", "x", 1, "holds", 0.0)
    monkeypatch.setattr(module, "machine_check", lambda *_, **__: holds)

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("payments_verify.cli.running"), "show", end)
    assert CliRunner().invoke(app, MACHINE).exit_code == 2


def test_a_second_interrupt_ends_the_telling() -> None:
    outermost.hold_interrupts()
    try:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        outermost.forget()
