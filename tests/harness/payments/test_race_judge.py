"""The judge of runs: what it remembers to be explained is the same history, but for the payment's id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest

from payments_verify.binding.answers import AnswerReader
from payments_verify.binding.file import default_binding
from payments_verify.binding.requests import Names
from payments_verify.payments.observed.observations import BREAKS_CONTRACT, Invocation, Observation
from payments_verify.payments.races import judge as race_judge
from payments_verify.payments.races.judge import Judge, Violation
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.specification.steps import PaymentState
from pgweave.history.linearizability import Result
from pgweave.interleavings.execution import Execution, Step
from pgweave.interleavings.footprint import EVERYTHING
from pgweave.scheduler import ScheduledOperation

_CAPTURED = Observation("ok", {"outcome": "captured", "replayed": False})
_REFUSED = Observation("fail", {"outcome": "already_captured", "replayed": False})


def _run(first: Observation, second: Observation, payment: str = "p1") -> Execution:
    """Two captures with keys of their own, one after the other."""
    before = (
        Exchange(Invocation("create", {"payment": payment, "amount": 500}), _done("created")),
        Exchange(Invocation("authorize", {"payment": payment, "window": 60_000_000}), _done("authorized")),
    )
    operations = tuple(
        ScheduledOperation(
            number,
            Invocation("capture", {"payment": payment, "key": f"k{number}", "amount": 500}),
            answer,
            first=number,
            last=number,
            answered=number,
        )
        for number, answer in enumerate((first, second))
    )
    steps = tuple(Step(number, "capture", EVERYTHING) for number in range(2))
    return Execution(steps, True, RaceResult((payment,), before, operations, (), 0))


def _done(outcome: str) -> Observation:
    return Observation("ok", {"outcome": outcome})


def test_a_run_that_is_like_an_explained_one_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, checked = Judge(), list[RaceResult]()
    check = race_judge.check_order

    def counted(raced: RaceResult, order: Sequence[int]) -> Violation | Result[PaymentState]:
        checked.append(raced)
        return check(raced, order)

    monkeypatch.setattr(race_judge, "check_order", counted)
    for payment in ("p1", "p2", "p3"):
        assert judge.find_violation(_run(_CAPTURED, _REFUSED, payment)) is None
    assert len(checked) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (_CAPTURED, _CAPTURED),
        (_REFUSED, _CAPTURED),
        (_CAPTURED, Observation("unknown", {"status": 500})),
        (_CAPTURED, Observation("fail", {"outcome": "already_captured", "replayed": True})),
    ],
)
def test_a_run_with_another_answer_than_an_explained_one_is_wrong(
    first: Observation, second: Observation
) -> None:
    judge = Judge()
    assert judge.find_violation(_run(_CAPTURED, _REFUSED)) is None
    assert judge.find_violation(_run(first, second)) is not None
    assert judge.find_violation(_run(first, second)) is not None


def test_a_wrong_run_is_wrong_each_time() -> None:
    judge = Judge()
    wrong = [judge.find_violation(_run(_CAPTURED, _CAPTURED, payment)) for payment in ("p1", "p2")]
    assert all(wrong)


@pytest.mark.parametrize("stored", [{"key": "k0"}, {"key": "k0", "amount": 500}])
def test_a_list_may_show_keys_without_their_outcomes(stored: dict[str, object]) -> None:
    run = _run(_CAPTURED, _CAPTURED)
    listed = Exchange(
        Invocation("attempts", {"payment": "p1"}),
        Observation("ok", {"outcome": "read", "attempts": [stored, {**stored, "key": "k1"}]}),
    )
    raced = replace(run.result, after=(listed,))
    assert raced.outcomes[-1] == (("k0", ""), ("k1", ""))
    assert isinstance(Judge().find_violation(replace(run, result=raced)), Violation)


def test_a_look_after_the_race_that_gets_no_definite_answer_is_wrong() -> None:
    right = _run(_CAPTURED, _REFUSED)
    read = Exchange(
        Invocation("read", {"payment": "p1"}), Observation("unknown", {"error": "no answer fits"})
    )
    violation = Judge().find_violation(replace(right, result=replace(right.result, after=(read,))))
    assert violation is not None
    assert (violation.invariant, violation.operation, violation.look) == ("I9", None, 0)
    assert "after the race, read got no definite answer: {'error': 'no answer fits'}" in violation.explanation


@pytest.mark.parametrize("problem", ["payment_busy", "overloaded", "unavailable", "deadline_exceeded"])
def test_what_was_told_not_to_be_done_explains_nothing(problem: str) -> None:
    """A capture is answered 503, and then as a repeated one: only a 503 that leaves it open explains that."""
    response = httpx.Response(503, json={"type": f"/problems/{problem}"})
    capture = _run(_CAPTURED, _REFUSED).result.operations[0]
    told = AnswerReader(default_binding(), Names()).read(capture.value, response)
    assert told.kind == "unknown"
    repeated = replace(_CAPTURED, value={**_CAPTURED.value, "replayed": True})
    run = _run(told, repeated)
    again = replace(capture, first=1, last=1, answered=1, result=repeated)
    raced = replace(run.result, operations=(run.result.operations[0], again))
    steps = tuple(Step(0, "capture", EVERYTHING) for _ in range(2))
    found = Judge(faults=True).find_violation(Execution(steps, True, raced))
    assert (found is not None) is (problem in {"payment_busy", "overloaded"})


@pytest.mark.parametrize("breaks", [{}, {BREAKS_CONTRACT: True}])
def test_an_answer_that_breaks_the_contract_is_wrong_under_faults_too(breaks: dict[str, object]) -> None:
    run = _run(Observation("unknown", {"error": "503: no header retry-after", **breaks}), _CAPTURED)
    repeated = replace(_CAPTURED, value={**_CAPTURED.value, "replayed": True})
    first = run.result.operations[0]
    raced = replace(
        run.result, operations=(first, replace(first, first=1, last=1, answered=1, result=repeated))
    )
    steps = tuple(Step(0, "capture", EVERYTHING) for _ in range(2))
    found = Judge(faults=True).find_violation(Execution(steps, True, raced))
    assert (None if found is None else (found.invariant, found.operation)) == (("I9", 0) if breaks else None)
