"""Windows that no request names, and a least amount: the binding says them, and both sides are tried."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from payments_verify.binding import Binding, BindingFileError, parse
from payments_verify.binding.coverage import traits_of, unchecked, why_not
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.faults.check import faults_check
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.inputs.classes import LEAST_AND_MOST, WINDOWS, left_out
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.of_classes import input_programs
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.stress.check import stress_check
from payments_verify.systems import CommandError, empty_databases, settle_clock, started_service
from payments_verify.systems.started import service_at
from pgweave.gate import Fault
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.service.command import running_command
from tests.conformance.test_peers import BINDING, CHARGES, examined
from tests.support.postgres import chosen_bin_dir

DAY = 86_400
WEEK = 7 * DAY


def bound(seconds: int = WEEK, limits: str = "", clock: str = "") -> str:
    """The binding of charges whose windows have one length."""
    text = BINDING.read_text().replace('body = { valid_for_ms = "{window}" }\n', "")
    return text.replace("[limits]\n", f"{clock}[limits]\nfixed_window_seconds = {seconds}\n{limits}", 1)


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    with empty_databases(chosen_bin_dir()) as new:
        yield new


@pytest.fixture(autouse=True)
def right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charges whose authorizations end after a week, right unless a bug is asked for."""
    monkeypatch.setenv("CHARGES_LOCKED", "1")
    monkeypatch.setenv("CHARGES_VALID_FOR_S", str(WEEK))


@pytest.fixture
def open_service(new_database: Callable[[], str]) -> Callable[..., OpenService]:
    return lambda text=None: partial(
        started_service, CHARGES, parse(text or bound(), "mine.toml"), new_database
    )


@pytest.mark.long
@pytest.mark.parametrize("seconds", [WEEK, 29 * DAY])
def test_a_service_with_such_a_window_reaches_the_highest_level(
    seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_VALID_FOR_S", str(seconds))
    (tmp_path / "binding.toml").write_text(bound(seconds))
    code, report = examined(CHARGES, tmp_path / "binding.toml", tmp_path)
    assert (code, report["level"]) == (0, 5), report


@pytest.mark.parametrize(
    ("seconds", "bug", "told"),
    [
        (WEEK, "", None),
        (WEEK, "late", "window_expired"),
        (WEEK - 1, "", "first capture after the end of the window: the model answers window_expired"),
        (29 * DAY, "", "a capture before the end of the window: the model answers captured"),
    ],
)
def test_both_sides_of_the_end_of_such_a_window_are_tried_at_level_1(
    seconds: int, bug: str, told: str | None, open_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_BUG", bug)
    found = windows_check("charges", open_service(bound(seconds)))
    assert found.verdict == ("violated" if told else "holds"), found
    assert (told or "") in str(found.counterexample)


@pytest.mark.long
@pytest.mark.parametrize("reuses_keys", [False, True])
@pytest.mark.parametrize("bug", ["", "late"])
def test_programs_come_to_the_end_of_such_a_window_at_levels_1_and_2(
    bug: str, reuses_keys: bool, open_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_BUG", bug)
    found = machine_check("charges", open_service(), examples=5, steps=8, seed=1, reuses_keys=reuses_keys)
    assert found.verdict == ("violated" if bug else "holds"), found.counterexample
    assert not bug or "window_expired" in str(found.counterexample)


@pytest.mark.parametrize(
    ("bug", "scenario"),
    [
        ("late", "capture-and-ticks"),
        ("early", "window-closes-behind-lock"),
        ("", "capture-and-ticks"),
        ("", "two-sweepers"),
    ],
)
def test_the_end_of_such_a_window_is_raced_at_level_4(
    bug: str, scenario: str, new_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_BUG", bug)

    async def main() -> ExploredScenario:
        binding = parse(bound(), "mine.toml")
        async with started_service(CHARGES, binding, new_database, behind_gate=True) as gated:
            return await explore_scenario(SCENARIOS[scenario], gated, SourceDPOR, tmp_path)

    found = asyncio.run(main())
    assert found.verdict == ("violated" if bug else "holds"), found.problem
    assert not bug or "captured but payments answers window_expired" in " ".join(str(found.problem).split())


@pytest.mark.long
@pytest.mark.parametrize(("bug", "verdict"), [("", "holds"), ("late", "violated")])
def test_the_end_of_such_a_window_is_met_among_faults_at_level_5(
    bug: str, verdict: str, new_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_BUG", bug)
    binding = parse(bound(), "mine.toml")
    plan = FaultPlan(SCENARIOS["capture-and-ticks"], (Fault.CUT_AFTER,))
    behind_gate = partial(started_service, CHARGES, binding, new_database, behind_gate=True)
    found = faults_check("charges", behind_gate, [plan], tmp_path, replay="")
    assert found.verdict == verdict, found.counterexample


def test_levels_at_which_the_clock_stays_say_what_they_leave_out(
    new_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_CLOCK", "host")
    binding, why = settle_clock(CHARGES, parse(bound(), "mine.toml"), new_database)
    assert (binding.clock.by, why is None) == ("none", False)
    found = windows_check("charges", partial(started_service, CHARGES, binding, new_database))
    assert (found.verdict, found.cases) == ("holds", 3), found
    traits = traits_of(binding, moves_clock=False)
    told = list(unchecked(binding, traits, has_database=True))
    assert any(each.startswith("limits.fixed_window_seconds: the clock cannot be moved") for each in told)
    assert why_not(SCENARIOS["capture-and-ticks"], binding, traits) == "clock"


def test_a_window_that_ends_while_a_service_is_examined_gives_no_verdict_where_the_clock_stays(
    new_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is right, an expired payment, would be told wrong."""
    monkeypatch.setenv("CHARGES_VALID_FOR_S", "600")
    monkeypatch.setenv("CHARGES_CLOCK", "host")
    with pytest.raises(CommandError, match=r"each window ends after 600 s \(limits.fixed_window_seconds\)"):
        settle_clock(CHARGES, parse(bound(600), "mine.toml"), new_database)

    async def main() -> None:
        async with (
            running_command(f"exec {sys.executable} -m http.server $PORT", {}, "/") as running,
            service_at(running.url, parse(bound(600), "mine.toml")),
        ):
            pass

    with pytest.raises(CommandError, match="each window ends after 600 s"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("seconds", "key"),
    [
        (0, "must be 1"),
        (31 * DAY + 1, "must be 1"),
    ],
)
def test_a_length_that_the_model_does_not_have_is_refused(seconds: int, key: str) -> None:
    with pytest.raises(BindingFileError, match=rf"limits\.fixed_window_seconds: {key}"):
        parse(bound(seconds), "mine.toml")


def test_a_window_that_requests_name_is_not_fixed() -> None:
    text = BINDING.read_text().replace("[limits]\n", "[limits]\nfixed_window_seconds = 60\n")
    with pytest.raises(BindingFileError, match=r"limits\.fixed_window_seconds: belongs to .* no \{window\}"):
        parse(text, "mine.toml")


def test_of_windows_those_of_other_lengths_are_left_out_and_named() -> None:
    binding = parse(bound(DAY), "mine.toml")
    traits = traits_of(binding, moves_clock=True)
    others = {name for name, why in left_out(traits).items() if why == "limits.fixed_window_seconds"}
    assert others == set(WINDOWS) - {"windows: a day"}
    assert any(
        each.startswith("limits.fixed_window_seconds")
        for each in unchecked(binding, traits, has_database=True)
    )


def least(cents: int) -> Binding:
    return parse(bound(limits=f"min_amount = {cents}\n"), "mine.toml")


@pytest.mark.parametrize(
    ("declared", "kept", "wrong"),
    [(500, "5.00", None), (50, "0.49", 49), (50, "0.51", 50), (50, "0.01", 1)],
)
def test_both_sides_of_the_least_amount_are_tried(
    declared: int, kept: str, wrong: int | None, open_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_LEAST", kept)
    traits = traits_of(least(declared), moves_clock=True)
    program = input_programs(traits)[LEAST_AND_MOST]
    with asyncio.Runner() as runner:
        context = open_service(bound(limits=f"min_amount = {declared}\n"))()
        system = runner.run(context.__aenter__())
        try:
            calls = type("Calls", (ComparedCalls,), {"system": system, "runner": runner, "tally": Tally()})()
            if wrong is None:
                program(calls)
                assert calls.tally.inputs[LEAST_AND_MOST] > 0
            else:
                with pytest.raises(MismatchError, match=rf"'amount': {wrong}\b"):
                    program(calls)
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.long
def test_no_payment_is_less_than_the_least_anywhere(
    open_service: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("CHARGES_LEAST", "5.00")
    opened = open_service(bound(limits="min_amount = 500\n"))
    found = machine_check("charges", opened, examples=15, steps=10, seed=1)
    assert found.verdict == "holds", found.counterexample
    assert stress_check("charges", opened, tmp_path, rounds=20, seed=1, progress=None).verdict == "holds"


@pytest.mark.parametrize("cents", [0, 501])
def test_a_least_amount_that_the_harness_cannot_keep_is_refused(cents: int) -> None:
    with pytest.raises(BindingFileError, match=r"limits\.min_amount: must be 1, .* to 500"):
        least(cents)


def test_a_least_amount_needs_an_answer_that_says_so() -> None:
    text = bound(limits="min_amount = 50\n").replace('outcome = "malformed"', 'outcome = "not_found"')
    with pytest.raises(BindingFileError, match=r"limits\.min_amount: needs an answer to commands\.create"):
        parse(text, "mine.toml")
