"""The specification holds, with exactly the counts of its table; and each of its properties can fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.tla.check import check_model, described, judged
from lab.tla.models import ModelsError, read_models
from lab.tla.output import Found, TracedState
from lab.tla.tlc import TlcError, find_tlc
from lab.tla.values import Function
from tests.support.tla import FOLDER, Change, changed, tlc

MODELS = read_models(FOLDER)
QUICK = ("same-key-twice", "read-while-captured", "weakened-clock-in-lock")

PROPERTIES = (
    *(
        "I2",
        "I8",
        "I10",
        "I11",
        "EveryRequestAnswered",
        "DuePaymentsExpire",
        "KeysEnd",
        "ClaimedKeysEnd",
        "EachWithItsEvent",
    ),
)
"""Of steps and of behaviours; the others are of states, I3 and I4 in the protocol."""

NO_LOCK = Change("Capture", '(Locking \\/ Does(p) = "holds") /\\ row # NoPayment', "FALSE")

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
    "a sweeper sweeps once": (
        Change("Expiry", " /\\ WF_vars(SweepsAgain(p))", ""),
        "expiry-behind-lock",
        "DuePaymentsExpire",
        "a temporal property is violated",
    ),
    "what a fault has taken back stays in progress": (
        Change(
            "Capture",
            "Dequeued(p)\n    /\\ wrote' = [wrote EXCEPT ![p] = NothingWritten]\n    /\\ Goto(p, Again(p))",
            'Dequeued(p)\n    /\\ UNCHANGED wrote\n    /\\ Goto(p, "done")',
        ),
        "expiry",
        "KeysEnd",
        "a temporal property is violated",
    ),
    "a claim lapses, and nobody has to see to it": (
        Change("Claims", "    /\\ WF_ClaimedVars(\\E key \\in claimed : Lapse(key))\n", ""),
        "claimed-keys",
        "ClaimedKeysEnd",
        "a temporal property is violated",
    ),
    "a capture leaves no event": (
        Change("Events", '"insert" ELSE "update"', '"update" ELSE "update"'),
        "events-different-keys",
        "I12",
        "I12",
    ),
    "a move leaves no event": (
        Change("Events", '"insert" ELSE "update"', '"insert" ELSE "none"'),
        "events-capture-and-void",
        "MovesExplainTheRow",
        "MovesExplainTheRow",
    ),
    "a number is left out": (
        Change("Events", "Cardinality(events) + 1", "Cardinality(events) + 2"),
        "events-different-keys",
        "Numbered",
        "Numbered",
    ),
    "an event outlives its transaction": (
        Change("Events", "Cut(p) /\\ Forgets(p) /\\ UNCHANGED events", "Cut(p) /\\ Keeps(p)"),
        "events-different-keys",
        "EachWithItsEvent",
        "EachWithItsEvent",
    ),
    "events are numbered without the lock": (
        NO_LOCK,
        "events-different-keys-and-tick",
        "InTheOrderOfGrants",
        "InTheOrderOfGrants",
    ),
    "two write events at once": (NO_LOCK, "events-different-keys-and-tick", "OneWrites", "OneWrites"),
    "one process is not served": (
        Change("Capture", "WF_vars(\\E p \\in Processes : Runs(p))", "WF_vars(Runs(0))"),
        "same-key-twice",
        "EveryRequestAnswered",
        "a temporal property is violated",
    ),
}


# The same of the sequential machine.
BROKEN_RULES: dict[str, tuple[Change, str]] = {
    "a captured payment is captured again": (
        Change(
            "Rules",
            'IF payment.state # "authorized" THEN Refusal(payment)\n',
            'IF payment.state \\notin {"authorized", "captured"} THEN Refusal(payment)\n',
        ),
        "I1",
    ),
    "a failed payment is authorized again": (
        Change("Rules", 'state # "pending" THEN', 'state \\notin {"pending", "failed"} THEN'),
        "I2",
    ),
    "a known key is decided anew": (
        Change("Rules", "    ELSE IF attempt # NoAttempt\n", "    ELSE IF FALSE\n"),
        "I3",
    ),
    "a key is taken for every request": (
        Change("Rules", "IF attempt.amount = amount THEN", "IF TRUE THEN"),
        "I4",
    ),
    "the end of the window counts as inside": (
        Change("Rules", "t < payment.capture_expires_at", "t <= payment.capture_expires_at"),
        "I5",
    ),
    "the success is not stored": (
        Change(
            "Rules",
            "                  Attempt(amount, outcome, t), outcome)",
            '  IF outcome = "captured" THEN NoAttempt ELSE Attempt(amount, outcome, t), outcome)',
        ),
        "I6",
    ),
    "a refusal moves the payment": (
        Change(
            "Rules", 'Step(IF outcome = "captured"', 'Step(IF outcome \\in {"captured", "amount_mismatch"}'
        ),
        "I11",
    ),
}


def look_only_at(property_: str, configuration: Path, properties: Sequence[str] = PROPERTIES) -> None:
    constants, _, _ = configuration.read_text().partition("INVARIANTS")
    kind = "PROPERTIES" if property_ in properties else "INVARIANTS"
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


@pytest.mark.parametrize("bug", BROKEN_RULES)
def test_a_broken_rule_breaks_a_property(bug: str, tmp_path: Path) -> None:
    change, property_ = BROKEN_RULES[bug]
    broken = changed(tmp_path, change)
    look_only_at(property_, broken / MODELS["payments"].configuration, ("I2", "I3", "I4", "I11"))
    result = check_model(tlc(broken), MODELS["payments"])
    assert result.verdict == "violated", result.counterexample
    assert result.details["violated"] == property_


@pytest.fixture(scope="module")
def found() -> Found:
    """What TLC finds in a model that holds."""
    model, runner = MODELS["capture-during-authorize"], tlc()
    return runner.run(FOLDER / f"{model.module}.tla", FOLDER / model.configuration)


@pytest.mark.parametrize("count", ["states", "generated", "depth"])
def test_a_count_that_drifts_is_a_failure(count: str, found: Found) -> None:
    model = MODELS["capture-during-authorize"]
    assert judged(model, found) == ("holds", None)
    wrong = msgspec.structs.replace(model, **{count: getattr(model, count) + 1})
    verdict, counterexample = judged(wrong, found)
    assert verdict == "violated"
    assert f"counts: {count}: expected" in str(counterexample)


def test_a_weakened_protocol_that_shows_nothing_is_a_failure(found: Found) -> None:
    sound = msgspec.structs.replace(MODELS["capture-during-authorize"], violates="I1AtTheEnd")
    verdict, counterexample = judged(sound, found)
    assert verdict == "violated"
    assert "found: everything holds" in str(counterexample)


def test_a_specification_that_cannot_be_read_has_no_verdict(tmp_path: Path) -> None:
    broken = changed(tmp_path, Change("Rules", "EXTENDS Integers", "EXTENDS"))
    result = check_model(tlc(broken), MODELS["same-key-twice"])
    assert result.verdict == "no verdict"
    assert "Parse Error" in str(result.counterexample)


def test_a_counterexample_shows_what_each_step_changes() -> None:
    first = {
        "at": Function({0: "begin", 1: "begin"}),
        "row": Function(state="authorized", amount=5),
        "queue": (),
    }
    second = {**first, "at": Function({0: "lock", 1: "begin"})}
    third = {**second, "row": Function(state="captured", amount=5), "queue": (1,)}
    trace = (TracedState("Initial", first), TracedState("Begin", second), TracedState("Commit", third))
    assert described(Found(violated="I1", trace=trace)).splitlines() == [
        "0. Initial",
        '     at[0] = "begin"',
        '     at[1] = "begin"',
        "     queue = <<>>",
        '     row = [state |-> "authorized", amount |-> 5]',
        "1. Begin",
        '     at[0] = "lock"',
        "2. Commit",
        "     queue = <<1>>",
        '     row.state = "captured"',
    ]


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
