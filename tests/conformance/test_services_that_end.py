"""A service that ends in the middle of an examination: it is said how, and with which last words."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from payments_verify.binding import load
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import empty_databases, started_service
from pgweave.service.end import End
from tests.conformance.test_peers import BINDING
from tests.support.charges import command_of
from tests.support.postgres import chosen_bin_dir

Check = Callable[[OpenService, Path], CheckResult]

COMMAND = command_of("ending_service")


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    with empty_databases(chosen_bin_dir()) as made:
        yield made


@pytest.fixture
def ending(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    def made(how: str, *, once: bool, after: int = 3, exec_: str = "exec ") -> OpenService:
        monkeypatch.setenv("CHARGES_LOCKED", "1")
        monkeypatch.setenv("HOW", how)
        monkeypatch.setenv("CAPTURES", str(after))
        if once:
            monkeypatch.setenv("ONCE", str(tmp_path / "once"))
        return partial(started_service, f"{exec_}{COMMAND}", load(BINDING), new_database)

    return made


def machine(service: OpenService, _folder: Path) -> CheckResult:
    return machine_check("charges", service, examples=10, steps=10, seed=1)


def windows(service: OpenService, _folder: Path) -> CheckResult:
    return windows_check("charges", service)


def stressed(service: OpenService, folder: Path) -> CheckResult:
    return stress_check("charges", service, folder, rounds=3, seed=1, progress=None)


ENDS = {
    "9": ("no verdict", "was ended by signal 9, SIGKILL"),
    "15": ("no verdict", "was ended by signal 15, SIGTERM"),
    "exit3": ("violated", "ended with exit code 3"),
    "11": ("violated", "was ended by signal 11, SIGSEGV"),
}
FEW = [("9", machine), ("15", windows), ("exit3", stressed), ("11", windows)]
ALL = [(how, check) for how in ENDS for check in (machine, windows, stressed)]


@pytest.mark.parametrize(
    ("how", "check"), [pytest.param(*each, marks=[] if each in FEW else pytest.mark.long) for each in ALL]
)
def test_how_a_service_ended_is_told(
    ending: Callable[..., OpenService], how: str, check: Check, tmp_path: Path
) -> None:
    verdict, told = ENDS[how]
    result = check(ending(how, once=True), tmp_path)
    assert result.verdict == verdict, result.counterexample
    counterexample = str(result.counterexample)
    assert f"got no definite answer: the service {told}" in counterexample
    assert "the last words of the service" in counterexample
    assert re.search(r"\w+ \{'payment': .*\}( \(the model answers \w+\))? got no", counterexample)


@pytest.mark.parametrize("how", ["9", "exit0"])
def test_a_service_that_ends_again_when_it_is_asked_the_same_is_to_blame(
    ending: Callable[..., OpenService], how: str, tmp_path: Path
) -> None:
    result = machine(ending(how, once=False), tmp_path)
    assert result.verdict == "violated", result.counterexample


def test_the_shells_word_for_a_signal_is_understood(
    ending: Callable[..., OpenService], tmp_path: Path
) -> None:
    service = ending("9", once=True, exec_="true; ")
    told = str(machine(service, tmp_path).counterexample)
    assert "signal 9, SIGKILL" in told


def test_a_service_to_blame_is_told_from_one_that_was_stopped() -> None:
    blamed = {code for code in range(-64, 256) if End(code).is_its_own}
    faults = [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL]
    assert {1, 3, 127, 255} | {-each for each in faults} | {128 + each for each in faults} <= blamed
    stopped = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    assert not ({0} | {-each for each in stopped} | {128 + each for each in stopped}) & blamed
