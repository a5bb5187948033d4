"""A kill counts for its own reason, and where no technique that should find the mutant lacks a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lab.mutants.catalogue import TechniqueName
from lab.mutants.figures import Effort, cheapest, figures, only_finders
from lab.mutants.plan import UNMUTATED, Planned
from lab.mutants.reasons import invariants_told
from lab.mutants.results import Matrix, matrix
from lab.mutants.trial import Trial
from payments_verify.payments.specification.broken_invariants import invariants_broken
from tests.lab.mutants.test_matrix import TECHNIQUES, catalogue, trial


def made(*trials: tuple[str, Trial], expected: tuple[str, ...] = ("machine",)) -> Matrix:
    """A matrix of one mutant ``a``, that is to break I5, and of the code as it is, which survives."""
    known = catalogue(a=expected)  # type: ignore[arg-type]
    names: tuple[TechniqueName, ...] = ("machine", "stress")
    columns = {name: TECHNIQUES[name] for name in names}
    plan, done = [], {}
    for number, (row, each) in enumerate(trials):
        technique = next(known for name, known in TECHNIQUES.items() if name == each.technique)
        plan.append(Planned(row, technique, ("x",), f"{number}"))
        done[f"{number}"] = each
    for name in columns:
        plan.append(Planned(UNMUTATED, TECHNIQUES[name], ("x",), name))
        done[name] = trial("survived", name)
    return matrix(known, [UNMUTATED, "a"], columns, plan, done)


def test_a_kill_for_another_reason_is_marked_and_does_not_count() -> None:
    found = made(("a", trial("killed", "machine", ("I9",))))
    assert found.rows["a"]["machine"].state == "another reason"
    assert (found.fate("a"), found.verdict, found.missed) == ("survived", "violated", [("a", "machine")])
    cell = found.as_json()["mutants"][0]["cells"]["machine"]
    assert (cell["state"], cell["breaks"]) == ("another reason", ["I9"])
    assert found.as_json()["killed"] == 0


def test_a_kill_for_its_own_reason_counts_and_one_of_several_trials_is_enough() -> None:
    assert made(("a", trial("killed", "machine", ("I5", "I9")))).verdict == "holds"
    other, own = trial("killed", "machine", ("I9",)), trial("killed", "machine", ("I5",))
    assert made(("a", other), ("a", own)).fate("a") == "killed"


def test_a_technique_that_tells_no_reason_is_believed() -> None:
    assert made(("a", trial("killed", "machine", None))).fate("a") == "killed"


def test_a_counterexample_without_an_invariant_is_no_reason() -> None:
    assert made(("a", trial("killed", "machine", ()))).fate("a") == "survived"


@pytest.mark.parametrize("state", ["no verdict", "timed out"])
def test_nothing_is_killed_while_a_technique_that_should_find_it_had_no_verdict(state: Any) -> None:
    trials = (("a", trial("killed", "machine")), ("a", trial(state, "stress")))
    assert made(*trials, expected=("machine", "stress")).fate("a") == "no verdict"
    assert made(*trials, expected=("machine",)).fate("a") == "killed"


def result(verdict: str = "violated", **more: Any) -> Mapping[str, Any]:
    return {"verdict": verdict, "kind": "x", **more}


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([result(violation={"breaks": ["I3"]}, counterexample="I9: not this")], ("I3",)),
        ([result(counterexample="I7, I1: lost\n  I12: no event")], ("I1", "I7", "I12")),
        ([result("holds", problem="I2: no"), result(problem="not linearizable\n...")], ("I10",)),
        ([result(counterexample="stress-1.jsonl: not linearizable\n\nI9: no answer")], ("I9", "I10")),
        ([result(counterexample="stress-1.jsonl: I1, I3: not linearizable\n...")], ("I1", "I3")),
        ([result(counterexample="at statement 1 of client 0: not linearizable")], ("I10",)),
        ([result(counterexample="statements: I10: not understood")], ("I10",)),
        ([result(counterexample="about I4: nothing")], ()),
        ([{"verdict": "violated", "kind": "equivalence", "counterexample": "a path"}], None),
    ],
)
def test_what_a_report_says_that_its_counterexample_breaks(
    results: list[Mapping[str, Any]], told: tuple[str, ...] | None
) -> None:
    assert invariants_told(results) == told


def capture(outcome: str, **more: Any) -> Mapping[str, Any]:
    return {"outcome": outcome, "replayed": False, **more}


@pytest.mark.parametrize(
    ("f", "expected", "seen", "broken"),
    [
        ("capture", capture("key_reused"), capture("captured"), {"I4"}),
        ("capture", capture("key_reused"), capture("captured", replayed=True), {"I4"}),
        ("capture", capture("captured", replayed=True), capture("captured"), {"I3"}),
        ("capture", capture("amount_mismatch"), capture("key_reused"), {"I3"}),
        ("capture", capture("captured"), capture("amount_mismatch", replayed=True), {"I3"}),
        ("capture", capture("window_expired"), capture("captured"), {"I5"}),
        ("capture", capture("captured"), capture("window_expired"), {"I5"}),
        ("capture", capture("amount_mismatch"), capture("captured"), {"I1"}),
        ("capture", capture("already_captured"), capture("captured"), {"I1"}),
        ("capture", capture("payment_failed"), capture("captured"), {"I2"}),
        ("capture", capture("captured", decided_at=1), capture("captured", decided_at=2), {"I5"}),
        ("capture", capture("malformed"), capture("captured"), {"I1", "I4", "I11"}),
        ("read", {"outcome": "read"}, {"outcome": "not_found"}, {"I8"}),
        ("read", {"outcome": "read", "as_of": 1}, {"outcome": "read", "as_of": 2}, {"I5", "I8"}),
        ("fail", {"outcome": "already_captured"}, {"outcome": "failed"}, {"I2"}),
        (
            "read",
            {"outcome": "read", "payment": {"amount": 1}},
            {"outcome": "read", "payment": {"amount": 2}},
            {"I1", "I8"},
        ),
        ("attempts", {"outcome": "read", "attempts": [1]}, {"outcome": "read"}, {"I3", "I6", "I11"}),
    ],
)
def test_which_invariants_an_answer_breaks(
    f: str, expected: Mapping[str, Any], seen: Mapping[str, Any], broken: set[str]
) -> None:
    assert invariants_broken(f, expected, seen) == broken


def test_the_figures_tell_what_each_technique_cost_and_found_alone() -> None:
    found = made(
        ("a", trial("killed", "machine", wall_s=4.0)), ("a", trial("survived", "stress", wall_s=9.0))
    )
    machine, stress = figures(found)["techniques"]
    assert machine == {
        "name": "machine",
        "trials": 2,
        "seconds": 5.5,
        "cases": 6,
        "killed": 1,
        "only_finder_of": ["a"],
    }
    assert (stress["killed"], stress["only_finder_of"], stress["seconds"]) == (0, [], 10.5)
    assert figures(found)["cheapest"] == {"techniques": ["machine"], "seconds": 5.5}


def test_the_cheapest_techniques_kill_all_that_is_killed() -> None:
    dear = Effort("dear", 1, 100.0, 1, frozenset("abc"))
    cheap, other = Effort("cheap", 1, 5.0, 1, frozenset("ab")), Effort("other", 1, 7.0, 1, frozenset("bc"))
    assert list(cheapest([dear, cheap, other])) == [cheap, other]
    assert list(cheapest([dear, cheap])) == [dear]
    assert only_finders(cheap, [cheap, other]) == ["a"]
    assert list(cheapest([])) == []
