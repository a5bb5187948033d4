"""The limits of a check, and what it refuses."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgweave.history.linearizability import check
from pgweave.history.operations import HistoryError, Operation, Outcome
from pgweave.history.search import Search
from pgweave.history.spec import Spec, SpecError
from pgweave.history.specs.cas_register import CasRegister
from pgweave.history.specs.kv import KeyValue
from tests.pgweave.brute_force import impossible_read, operation
from tests.pgweave.small_specs import Dice, atomic_kv_history, with_a_wrong_get


def test_the_time_budget_is_kept_on_a_clock_that_ticks_with_every_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(10**9))
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.001)
    monkeypatch.setattr("pgweave.history.linearizability.time", clock)
    result = check(CasRegister(), impossible_read(30), budget_seconds=0.5)
    assert result.verdict == "no verdict"
    assert result.reason == "the time budget of 0.5 s is used up"
    assert 0.475 <= result.seconds <= 0.525


def test_the_time_budget_ends_a_search_that_would_take_days() -> None:
    started = time.monotonic()
    assert check(CasRegister(), impossible_read(40), budget_seconds=0.1).verdict == "no verdict"
    assert time.monotonic() - started < 5  # a machine under load may be late, but not by minutes


def test_the_memory_bound_ends_in_unknown_and_says_so() -> None:
    result = check(CasRegister(), impossible_read(16), max_entries=1_000)
    assert result.verdict == "no verdict"
    assert result.reason == "the memory bound of 1000 cache entries was reached in register"
    assert 1_000 <= result.parts[0].configurations < 3_000


def hard_key_then_easy_key() -> list[Operation]:
    """Key "a" takes for ever, as its get returns too late to be foreseen; key "b" is refuted at once."""
    hard = [
        operation(n, "append", {"key": "a", "value": str(n)}, (Outcome.OK, None), (n, 100 + n))
        for n in range(60)
    ]
    hard.append(operation(0, "get", {"key": "a"}, (Outcome.OK, {"key": "a", "value": "?"}), (200, 201)))
    easy = operation(0, "get", {"key": "b"}, (Outcome.OK, {"key": "b", "value": "?"}), (202, 203))
    return [*hard, easy]


def test_parts_take_turns_so_that_the_easy_one_is_refuted() -> None:
    result = check(KeyValue(), hard_key_then_easy_key(), budget_seconds=60)
    assert result.verdict == "violated"
    assert result.refuted is not None
    assert result.refuted.label == 'key "b"'
    assert [part.verdict for part in result.parts] == ["no verdict", "violated"]
    assert result.parts[0].configurations < 10_000


def test_the_memory_bound_gives_up_the_largest_part_only() -> None:
    result = check(KeyValue(), hard_key_then_easy_key(), max_entries=10)
    assert result.verdict == "violated"
    easy = [
        *hard_key_then_easy_key()[:-1],
        *[operation(0, "get", {"key": "b"}, (Outcome.FAIL, None), (202, 203))],
    ]
    result = check(KeyValue(), easy, max_entries=10)
    assert [part.verdict for part in result.parts] == ["no verdict", "holds"]
    assert result.verdict == "no verdict"
    assert 'in key "a"' in result.reason


def test_a_history_longer_than_the_memory_bound_is_decided() -> None:
    done = (Outcome.OK, None)
    writes = [operation(0, "write", n, done, (2 * n, 2 * n + 1)) for n in range(5_000)]
    result = check(CasRegister(), writes, max_entries=2_500)
    assert result.verdict == "holds"
    assert result.parts[0].configurations == 5_001


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), is_wrong=st.booleans())
def test_what_is_forgotten_is_found_again(seed: int, *, is_wrong: bool) -> None:
    rng = random.Random(seed)
    history = atomic_kv_history(rng, 24, 6)
    if is_wrong:
        history = with_a_wrong_get(rng, history)
    known, forgetful = Search(KeyValue(), history), Search(KeyValue(), history)
    known.run(10**6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgweave.history.search.STATION", 4)
        while not forgetful.finished:
            forgetful.run(1)
            forgetful.forget()
    assert (forgetful.linearizable, forgetful.is_longest) == (known.linearizable, known.is_longest)
    assert len(forgetful.order()) == len(known.order())
    assert set(forgetful.ends()) == set(known.ends()) or known.linearizable


@pytest.mark.parametrize(
    "limits", [{"budget_seconds": 0}, {"budget_seconds": float("nan")}, {"max_entries": 0}]
)
def test_limits_must_be_positive(limits: Any) -> None:
    with pytest.raises(ValueError, match="limits are positive"):
        check(CasRegister(), [], **limits)


def test_two_events_at_one_position_are_refused() -> None:
    done = (Outcome.OK, None)
    with pytest.raises(HistoryError, match="same position"):
        check(CasRegister(), [operation(0, "write", 1, done, (0, 1)), operation(1, "write", 1, done, (1, 2))])


class LosesOperations(CasRegister):
    def partition(self, operations: Sequence[Operation]) -> dict[str, Sequence[Operation]]:
        return {"register": operations[1:]}


class SaysWritesObserve(CasRegister):
    def observes(self, operation: Operation) -> bool:
        return bool(operation.f)


@pytest.mark.parametrize(
    ("spec", "message"),
    [(LosesOperations(), "every operation in a part"), (SaysWritesObserve(), "said to observe only")],
)
def test_a_specification_that_breaks_its_promise_is_told(spec: Spec[Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check(spec, [operation(0, "write", 1, (Outcome.OK, None), (0, 1))])


@pytest.mark.parametrize(
    ("spec", "f", "value", "observed"),
    [
        (CasRegister(), "capture", None, (Outcome.OK, None)),
        (CasRegister(), "write", True, (Outcome.OK, None)),
        (CasRegister(), "write", 1.0, (Outcome.OK, None)),
        (CasRegister(), "cas", [1], (Outcome.OK, None)),
        (CasRegister(), "read", None, (Outcome.OK, [1])),
        (KeyValue(), "get", {"key": 1}, (Outcome.FAIL, None)),
        (KeyValue(), "get", {"key": "a"}, (Outcome.OK, "x")),
        (KeyValue(), "put", {"key": "a"}, (Outcome.OK, None)),
        (KeyValue(), "read", None, (Outcome.OK, 1)),
    ],
)
def test_operations_that_a_specification_does_not_know_are_refused(
    spec: Spec[Any], f: str, value: Any, observed: Any
) -> None:
    with pytest.raises(
        SpecError, match=f"{spec.name}: process 3, event 8: '{f}' .* is not understood; known are"
    ):
        check(spec, [operation(3, f, value, observed, (7, 8))])


def test_values_that_are_not_json_are_refused_where_operations_are_compared() -> None:
    rolled = operation(0, "roll", object(), (Outcome.OK, None), (0, 1))
    wrong = operation(0, "read", None, (Outcome.OK, 3), (2, 3))
    with pytest.raises(SpecError, match="dice: roll: not a JSON value"):
        check(Dice(), [rolled, wrong])
