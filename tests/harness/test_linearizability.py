"""The checker against the definition, against known verdicts, and its limits."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from payments_verify.formats import load
from payments_verify.history import HistoryError, Operation, Outcome
from payments_verify.linearizability import Part, Result, Verdict, check
from payments_verify.spec import Spec, SpecError
from payments_verify.specs import spec_named
from payments_verify.specs.cas_register import CasRegister
from payments_verify.specs.kv import KeyValue
from tests.harness import brute_force
from tests.harness.peers import needs_peers, peer_verdicts
from tests.harness.small_specs import OURS, SMALL, WholeStore, kv_history, register_history

SEEDS = st.integers(0, 2**32)


def operation(
    process: int, f: str, value: Any, observed: tuple[Outcome, Any], span: tuple[int, int | None]
) -> Operation:
    return Operation(process, f, value, *observed, *span)


def impossible_read(concurrent_writes: int) -> list[Operation]:
    """Writes that all overlap, then a read of what none of them wrote: every order has to be tried."""
    done = (Outcome.OK, None)
    end = 2 * concurrent_writes
    writes = [operation(n, "write", n, done, (n, concurrent_writes + n)) for n in range(concurrent_writes)]
    return [*writes, operation(0, "read", None, (Outcome.OK, 999), (end, end + 1))]


def assert_witness(spec: Spec[Any], part: Part[Any]) -> None:
    """The order of an `ok` verdict is by itself a proof: check it without the checker."""
    order = [step.operation for step in part.order]
    assert len({one.called for one in order}) == len(order)
    missing = {one.called for one in part.operations} - {one.called for one in order}
    assert all(one.outcome is Outcome.UNKNOWN for one in part.operations if one.called in missing)
    assert brute_force.respects_real_time(order)
    state = spec.initial()
    for step in part.order:
        assert step.state in spec.step(state, step.operation)
        state = step.state


def assert_longest_prefix(spec: Spec[Any], part: Part[Any]) -> None:
    order = [step.operation for step in part.order]
    assert brute_force.respects_real_time(order)
    assert part.ends[0] == (part.order[-1].state if part.order else spec.initial())
    assert part.ends[0] in brute_force.reachable(spec, order)
    best, ends = brute_force.longest(spec, part.operations)
    assert brute_force.score(part.operations, order) == best
    assert set(part.ends) == ends


def check_small(name: str, seed: int) -> tuple[Spec[Any], list[Operation], Result[Any]]:
    spec, history = SMALL[name]
    operations = history(random.Random(seed))
    return spec, operations, check(spec, operations)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_agrees_with_the_definition(name: str, seed: int) -> None:
    spec, operations, result = check_small(name, seed)
    parts = spec.partition(operations).values()
    linearizable = all(brute_force.is_linearizable(spec, part) for part in parts)
    assert result.verdict == ("ok" if linearizable else "illegal")
    for part in result.parts:
        if part.verdict is Verdict.OK:
            assert_witness(spec, part)
        elif part.verdict is Verdict.ILLEGAL:
            assert_longest_prefix(spec, part)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.ILLEGAL])
def test_the_random_histories_have_both_verdicts_with_every_outcome(name: str, verdict: Verdict) -> None:
    def is_of_interest(seed: int) -> bool:
        _, operations, result = check_small(name, seed)
        return result.verdict is verdict and {one.outcome for one in operations} == set(Outcome)

    assert find(SEEDS, is_of_interest, settings=settings(derandomize=True, deadline=None)) >= 0


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_keys_can_be_checked_one_by_one(seed: int) -> None:
    operations = kv_history(random.Random(seed))
    assert check(KeyValue(), operations).verdict == check(WholeStore(), operations).verdict


def without_real_time(operations: Sequence[Operation]) -> list[Operation]:
    size = len(operations)
    return [
        operation(
            one.process,
            one.f,
            one.value,
            (one.outcome, one.response),
            (number, None if one.returned is None else size + number),
        )
        for number, one in enumerate(operations)
    ]


def without_unknowns(operations: Sequence[Operation]) -> list[Operation]:
    return [one for one in operations if one.outcome is not Outcome.UNKNOWN]


class Forgetful(CasRegister):
    """Does not look at what a read answered."""

    def step(self, state: Any, operation: Operation) -> tuple[Any, ...]:
        return (state,) if operation.f == "read" else super().step(state, operation)


class Certain(CasRegister):
    """Takes an unanswered operation for one that was refused."""

    def step(self, state: Any, operation: Operation) -> tuple[Any, ...]:
        return (state,) if operation.outcome is Outcome.UNKNOWN else super().step(state, operation)


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        (CasRegister(), without_real_time),
        (CasRegister(), without_unknowns),
        (Forgetful(), list),
        (Certain(), list),
    ],
    ids=["ignores real time", "drops unknowns", "forgets the response", "unknown never happens"],
)
def test_a_checker_that_is_wrong_disagrees_with_the_definition(broken: Spec[Any], change: Any) -> None:
    def is_caught(seed: int) -> bool:
        operations = register_history(random.Random(seed))
        verdict = check(broken, change(operations)).verdict
        return verdict != ("ok" if brute_force.is_linearizable(CasRegister(), operations) else "illegal")

    assert find(SEEDS, is_caught, settings=settings(derandomize=True, deadline=None)) >= 0


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_histories_have_the_verdict_in_their_name(path: Path) -> None:
    history = load(path)
    assert history.spec is not None
    spec = spec_named(history.spec)
    result = check(spec, history.operations)
    assert result.verdict == ("ok" if f"{history.spec}-ok-" in path.name else "illegal")


def test_our_histories_cover_both_specifications_and_verdicts() -> None:
    kinds = {tuple(path.stem.rsplit("-ok-", 1)[0].rsplit("-bad-", 1)[0:1]) for path in OURS}
    assert kinds == {("cas-register",), ("kv",)}
    for prefix in ("cas-register-ok-", "cas-register-bad-", "kv-ok-", "kv-bad-"):
        assert sum(path.name.startswith(prefix) for path in OURS) >= 3


@needs_peers
def test_peer_histories_have_their_known_verdict() -> None:
    known = peer_verdicts()
    assert len(known) == 54
    for path, verdict in known.items():
        history = load(path)
        assert history.spec is not None
        spec = spec_named(history.spec)
        result = check(spec, history.operations)
        assert result.verdict == verdict, path.name
        for part in result.parts:
            if part.verdict is Verdict.OK:
                assert_witness(spec, part)


@needs_peers
def test_hints_and_partitions_change_no_verdict_on_peer_histories() -> None:
    for path, verdict in peer_verdicts().items():
        if path.name != "c10-bad.txt":  # too hard as one object
            operations = load(path).operations
            spec = WholeStore() if path.parent.name == "kv" else SMALL["cas-register without hints"][0]
            assert check(spec, operations, max_entries=200_000).verdict == verdict, path.name


def test_an_empty_history_is_linearizable() -> None:
    assert check(CasRegister(), []).verdict is Verdict.OK
    assert check(KeyValue(), []).parts == ()


def test_operations_without_a_response_alone_are_linearizable() -> None:
    unanswered = operation(0, "cas", [5, 6], (Outcome.UNKNOWN, None), (0, None))
    assert check(CasRegister(), [unanswered]).verdict is Verdict.OK


def test_a_long_history_needs_no_recursion_and_few_configurations() -> None:
    done = (Outcome.OK, None)
    operations = [operation(0, "write", n % 5, done, (2 * n, 2 * n + 1)) for n in range(5_000)]
    result = check(CasRegister(), operations)
    assert result.verdict is Verdict.OK
    assert result.parts[0].configurations == 5_001


def test_exact_configuration_counts() -> None:
    """Counts that change only when the search does: 8 writes are 8 * 2**7 configurations after the root."""
    assert check(CasRegister(), impossible_read(8)).parts[0].configurations == 1 + 8 * 2**7
    same = [
        operation(n, "write", 7, (Outcome.OK, None), (n, 20 + n)) for n in range(20)
    ]  # interchangeable: one order is enough
    read = operation(30, "read", None, (Outcome.OK, 999), (50, 51))
    assert check(CasRegister(), [*same, read]).parts[0].configurations == 21
    maybe = [operation(n, "write", 7, (Outcome.UNKNOWN, None), (n, None)) for n in range(20)]
    assert check(CasRegister(), [*maybe, read]).parts[0].configurations == 2


def test_the_time_budget_is_kept_on_a_clock_that_ticks_with_every_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(10**9))
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.001)
    monkeypatch.setattr("payments_verify.linearizability.time", clock)
    result = check(CasRegister(), impossible_read(30), budget_seconds=0.5)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reason == "the time budget of 0.5 s is used up"
    assert 0.475 <= result.seconds <= 0.525


def test_the_time_budget_ends_a_search_that_would_take_days() -> None:
    started = time.monotonic()
    assert check(CasRegister(), impossible_read(40), budget_seconds=0.1).verdict is Verdict.UNKNOWN
    assert time.monotonic() - started < 5  # a machine under load may be late, but not by minutes


def test_the_memory_bound_ends_in_unknown_and_says_so() -> None:
    result = check(CasRegister(), impossible_read(16), max_entries=1_000)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reason == "the memory bound of 1000 cache entries was reached in register"
    assert 1_000 <= result.parts[0].configurations < 3_000


def hard_key_then_easy_key() -> list[Operation]:
    """Key "a" takes for ever, key "b" is refuted at once."""
    hard = [
        operation(n, "append", {"key": "a", "value": str(n)}, (Outcome.OK, None), (n, 100 + n))
        for n in range(30)
    ]
    hard.append(operation(0, "get", {"key": "a"}, (Outcome.OK, {"key": "a", "value": "?"}), (200, 201)))
    easy = operation(0, "get", {"key": "b"}, (Outcome.OK, {"key": "b", "value": "?"}), (202, 203))
    return [*hard, easy]


def test_parts_take_turns_so_that_the_easy_one_is_refuted() -> None:
    result = check(KeyValue(), hard_key_then_easy_key(), budget_seconds=60)
    assert result.verdict is Verdict.ILLEGAL
    assert result.refuted is not None
    assert result.refuted.label == 'key "b"'
    assert [part.verdict for part in result.parts] == [Verdict.UNKNOWN, Verdict.ILLEGAL]
    assert result.parts[0].configurations < 10_000


def test_the_memory_bound_gives_up_the_largest_part_only() -> None:
    result = check(KeyValue(), hard_key_then_easy_key(), max_entries=10)
    assert result.verdict is Verdict.ILLEGAL
    easy = [
        *hard_key_then_easy_key()[:-1],
        *[operation(0, "get", {"key": "b"}, (Outcome.FAIL, None), (202, 203))],
    ]
    result = check(KeyValue(), easy, max_entries=10)
    assert [part.verdict for part in result.parts] == [Verdict.UNKNOWN, Verdict.OK]
    assert result.verdict is Verdict.UNKNOWN
    assert 'in key "a"' in result.reason


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
    [(LosesOperations(), "exactly one part"), (SaysWritesObserve(), "said to observe only")],
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
