"""The specification holds, with exactly the counts of its table; and each of its properties can fail."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.tla.check import check_model
from payments_verify.tla.models import ModelsError, read_models
from payments_verify.tla.tlc import TlcError, find_tlc
from tests.support.tla import FOLDER, Change, changed, tlc

MODELS = read_models(FOLDER)
QUICK = ("same-key-twice", "read-while-captured", "weakened-clock-in-lock")

PROPERTIES = ("I2", "I8", "I10", "I11", "EveryRequestAnswered")
"""Of steps and of behaviours; the others are of states."""

# What is broken, the model that shows it, the one property that is looked at, and what TLC finds.
BROKEN: dict[str, tuple[Change, str, str, str]] = {
    "the success is not stored": (
        Change("Capture", "attempts' = IF wrote[p].attempt = NoAttempt THEN", "attempts' = IF TRUE THEN"),
        "different-keys",
        "I6",
        "I6",
    ),
    "the payment does not move": (
        Change("Capture", "row' = IF wrote[p].row = NoPayment THEN", "row' = IF TRUE THEN"),
        "different-keys",
        "I7",
        "I7",
    ),
    "a key is taken for every request": (
        Change("Rules", "IF attempt.amount = amount THEN", "IF TRUE THEN"),
        "same-key-different-amounts",
        "I4",
        "I4",
    ),
    "the retry is decided anew": (
        Change("Capture", '<<"lock", "find", "clock">>', '<<"lock", "clock">>'),
        "same-key-twice",
        "I9",
        "I9",
    ),
    "no moves are legal": (
        Change("Rules", '                <<"authorized", "captured">>,\n', ""),
        "different-keys",
        "I9",
        "I9",
    ),
    "decided by the time of the transaction's start": (
        Change("Capture", "IF Clock = AtTheStart THEN seen.begun ELSE seen.clock", "seen.begun"),
        "window-closes-behind-lock",
        "I5",
        "I5",
    ),
    "a waiter decides on the row that it saw before": (
        Change(
            "Capture",
            "!.row = row,\n                    !.granted = now,\n                    !.clock",
            "!.granted = now,\n                    !.clock",
        ),
        "capture-during-authorize",
        "I10",
        "I10",
    ),
    "a refusal moves the payment": (
        Change(
            "Rules", 'Step(IF outcome = "captured"', 'Step(IF outcome \\in {"captured", "amount_mismatch"}'
        ),
        "same-key-different-amounts",
        "I11",
        "I11",
    ),
    "a crash loses what was committed": (
        Change(
            "Capture",
            "    /\\ UNCHANGED <<row, attempts, now, answers>>\n\n-----",
            "    /\\ row' = Prepared /\\ attempts' = {}\n    /\\ UNCHANGED <<now, answers>>\n\n-----",
        ),
        "same-key-twice",
        "I2",
        "I2",
    ),
    "a read is of another time": (
        Change("Capture", "state |-> row.state, as_of", "state |-> Prepared.state, as_of"),
        "read-while-captured",
        "I8",
        "I8",
    ),
    "the lock is not given back": (
        Change(
            "Capture", "Release(p) == lock' = IF lock = p THEN Nobody ELSE lock", "Release(p) == lock' = lock"
        ),
        "same-key-twice",
        "TypeOK",
        "deadlock",
    ),
    "a waiter is not woken": (
        Change("Capture", "Statement(p) \\/ Wake(p)", "Statement(p) \\/ (Wake(p) /\\ p = 0)"),
        "same-key-twice",
        "TypeOK",
        "deadlock",
    ),
    "one process is not served": (
        Change("Capture", "\\A p \\in Processes : WF_vars(Runs(p))", "WF_vars(Runs(0))"),
        "same-key-twice",
        "EveryRequestAnswered",
        "a temporal property is violated",
    ),
}


def look_only_at(property_: str, configuration: Path) -> None:
    constants, _, _ = configuration.read_text().partition("INVARIANTS")
    kind = "PROPERTIES" if property_ in PROPERTIES else "INVARIANTS"
    configuration.write_text(f"{constants}{kind} {property_}\n")


@pytest.mark.parametrize("name", QUICK)
def test_a_model_is_as_the_table_says(name: str) -> None:
    result = check_model(tlc(), MODELS[name])
    assert result.verdict == "holds", result.counterexample
    assert result.cases == MODELS[name].states


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in MODELS if name not in QUICK])
def test_every_other_model_is_as_the_table_says(name: str) -> None:
    result = check_model(tlc(), MODELS[name])
    assert result.verdict == "holds", result.counterexample


@pytest.mark.parametrize("bug", BROKEN)
def test_a_broken_protocol_breaks_a_property(bug: str, tmp_path: Path) -> None:
    change, name, property_, violated = BROKEN[bug]
    broken = changed(tmp_path, change)
    look_only_at(property_, broken / MODELS[name].configuration)
    result = check_model(tlc(broken), MODELS[name])
    assert result.verdict == "violated", result.counterexample
    assert result.details["violated"] == violated


@pytest.mark.parametrize("count", ["states", "generated", "depth"])
def test_a_count_that_drifts_is_a_failure(count: str) -> None:
    model = MODELS["capture-during-authorize"]
    wrong = msgspec.structs.replace(model, **{count: getattr(model, count) + 1})
    result = check_model(tlc(), wrong)
    assert result.verdict == "violated"
    assert f"counts: {count}: expected" in str(result.counterexample)


def test_a_weakened_protocol_that_shows_nothing_is_a_failure() -> None:
    sound = msgspec.structs.replace(MODELS["capture-during-authorize"], violates="I1AtTheEnd")
    result = check_model(tlc(), sound)
    assert result.verdict == "violated"
    assert "found: everything holds" in str(result.counterexample)


def test_a_specification_that_cannot_be_read_has_no_verdict(tmp_path: Path) -> None:
    broken = changed(tmp_path, Change("Rules", "EXTENDS Integers", "EXTENDS"))
    result = check_model(tlc(broken), MODELS["same-key-twice"])
    assert result.verdict == "could not run"
    assert "Parse Error" in str(result.counterexample)


def test_every_configuration_is_a_model() -> None:
    written = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.cfg")}
    assert written - {"PaymentsGraph.cfg"} == {model.configuration for model in MODELS.values()}


def test_models_of_one_name_are_refused(tmp_path: Path) -> None:
    entry = '[[model]]\nname="a"\nmodule="A"\nconfiguration="a.cfg"\nstates=1\ngenerated=1\ndepth=1\n'
    (tmp_path / "models.toml").write_text(entry * 2)
    with pytest.raises(ModelsError, match="one name"):
        read_models(tmp_path)


def test_the_command_prints_json() -> None:
    tlc()
    name = "capture-during-authorize"
    result = CliRunner().invoke(app, ["tla", "check", name, "--specification", str(FOLDER), "--json"])
    assert result.exit_code == 0, result.output
    (check,) = json.loads(result.stdout)
    assert (check["verdict"], check["cases"]) == ("holds", MODELS[name].states)


def test_without_java_it_says_so_and_ends_with_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    result = CliRunner().invoke(app, ["tla", "check", "--specification", str(FOLDER)])
    assert result.exit_code == 2
    assert "TLC needs Java" in result.stderr


def test_a_java_that_does_not_run_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/sbin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "absent"))
    with pytest.raises(TlcError, match="TLC needs Java"):
        find_tlc(FOLDER)


def test_without_tlc_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tlc()
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(TlcError, match="make tla"):
        find_tlc(FOLDER)


def test_without_the_specification_it_says_where_to_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tla", "check", "--specification", str(tmp_path)])
    assert result.exit_code == 2
    assert "from the root of the repository" in result.stderr


def test_a_run_that_takes_too_long_is_stopped() -> None:
    slow = replace(tlc(), limit_s=0.2)
    with pytest.raises(TlcError, match=r"not ended after 0\.2 s"):
        check_model(slow, MODELS["payments"])
