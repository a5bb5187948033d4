"""The checker against the definition, against known verdicts, and its limits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from payments_verify.specs import spec_named
from pgweave.history.by_return import order_by_return
from pgweave.history.formats import load
from pgweave.history.linearizability import Part, Result, check
from pgweave.history.operations import Operation, Outcome
from pgweave.history.spec import Spec
from pgweave.history.specs.cas_register import CasRegister
from pgweave.history.specs.kv import KeyValue
from pgweave.verdict import Verdict
from tests.pgweave import brute_force
from tests.pgweave.brute_force import impossible_read, operation
from tests.pgweave.small_specs import OURS, SMALL, WholeStore, kv_history, register_history
from tests.support.peer_histories import needs_peers, peer_verdicts

SEEDS = st.integers(0, 2**32)


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


def assert_as_defined(name: str, seed: int) -> None:
    spec, operations, result = check_small(name, seed)
    parts = spec.partition(operations).values()
    linearizable = all(brute_force.is_linearizable(spec, part) for part in parts)
    assert result.verdict == ("holds" if linearizable else "violated")
    for part in result.parts:
        if part.verdict == "holds":
            assert_witness(spec, part)
        elif part.verdict == "violated":
            assert_longest_prefix(spec, part)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_agrees_with_the_definition(name: str, seed: int) -> None:
    assert_as_defined(name, seed)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_the_search_alone_agrees_with_the_definition(name: str, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgweave.history.by_return.MOST_OPERATIONS", 0)
        assert_as_defined(name, seed)


def test_an_order_that_ignores_real_time_disagrees_with_the_definition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is drawn forward has to be called by then: without that, what is wrong passes for right."""

    def any_later(
        _: Operation, answered: Sequence[Operation], number: int, unanswered: Sequence[Operation]
    ) -> list[Operation]:
        return [*answered[number + 1 :], *unanswered]

    def is_caught(seed: int) -> bool:
        operations = register_history(random.Random(seed))
        linearizable = brute_force.is_linearizable(CasRegister(), operations)
        return linearizable is not (check(CasRegister(), operations).verdict == "holds")

    monkeypatch.setattr("pgweave.history.by_return._open_at", any_later)
    assert find(SEEDS, is_caught, settings=settings(derandomize=True, deadline=None)) >= 0


def test_most_right_histories_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    right = [
        operations
        for operations in (register_history(random.Random(seed)) for seed in range(200))
        if check(CasRegister(), operations).verdict == "holds"
    ]
    found = [order_by_return(CasRegister(), operations) is not None for operations in right]
    assert sum(found) > len(right) / 2
    monkeypatch.setattr("pgweave.history.by_return.MOST_OPERATIONS", 3)
    assert order_by_return(CasRegister(), right[0][:4]) is None


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("verdict", ["holds", "violated"])
def test_the_random_histories_have_both_verdicts_with_every_outcome(name: str, verdict: Verdict) -> None:
    def is_of_interest(seed: int) -> bool:
        _, operations, result = check_small(name, seed)
        return result.verdict == verdict and {one.outcome for one in operations} == set(Outcome)

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
        return verdict != ("holds" if brute_force.is_linearizable(CasRegister(), operations) else "violated")

    assert find(SEEDS, is_caught, settings=settings(derandomize=True, deadline=None)) >= 0


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_histories_have_the_verdict_in_their_name(path: Path) -> None:
    history = load(path)
    assert history.spec is not None
    spec = spec_named(history.spec)
    result = check(spec, history.operations)
    assert result.verdict == ("holds" if f"{history.spec}-ok-" in path.name else "violated")


def test_our_histories_cover_both_specifications_and_verdicts() -> None:
    kinds = {tuple(path.stem.rsplit("-ok-", 1)[0].rsplit("-bad-", 1)[0:1]) for path in OURS}
    assert kinds == {("cas-register",), ("etcd",), ("kv",)}
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
            if part.verdict == "holds":
                assert_witness(spec, part)


@needs_peers
def test_hints_and_partitions_change_no_verdict_on_peer_histories() -> None:
    for path, verdict in peer_verdicts().items():
        if path.name != "c10-bad.txt":  # too hard as one object
            operations = load(path).operations
            spec = WholeStore() if path.parent.name == "kv" else SMALL["etcd without hints"][0]
            assert check(spec, operations, max_entries=200_000).verdict == verdict, path.name


def test_an_empty_history_is_linearizable() -> None:
    assert check(CasRegister(), []).verdict == "holds"
    assert check(KeyValue(), []).parts == ()


def test_operations_without_a_response_alone_are_linearizable() -> None:
    unanswered = operation(0, "cas", [5, 6], (Outcome.UNKNOWN, None), (0, None))
    assert check(CasRegister(), [unanswered]).verdict == "holds"


def test_a_long_history_needs_no_recursion_and_few_configurations() -> None:
    done = (Outcome.OK, None)
    operations = [operation(0, "write", n % 5, done, (2 * n, 2 * n + 1)) for n in range(5_000)]
    result = check(CasRegister(), operations)
    assert result.verdict == "holds"
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
