"""Foresight: what `can_lead_to` says is so, and the search finds with it what it finds without."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import permutations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from payments_verify.report.attempt_figure import figure
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.linearizability import Part, Result, check
from pgweave.history.operations import Operation, Outcome
from pgweave.history.search import MOST_AFTER_REFUTED
from pgweave.history.specs.kv import KeyValue
from tests.pgweave import brute_force
from tests.pgweave.small_specs import atomic_kv_history, kv_operation, with_a_wrong_get

SEEDS = st.integers(0, 2**32)
SIZE = (24, 6)


class Blind(KeyValue):
    """Foresees nothing."""

    def can_lead_to(self, state: str, operation: Operation, meanwhile: Iterable[Operation]) -> bool:
        del state, operation, meanwhile
        return True


class Mistaken(KeyValue):
    """Forgets that a put may leave another string."""

    def can_lead_to(self, state: str, operation: Operation, meanwhile: Iterable[Operation]) -> bool:
        del meanwhile
        return super().can_lead_to(state, operation, ())


def told(result: Result[str]) -> object:
    """All that is told of a history, but which of several prefixes of one length is shown."""
    parts = []
    for part in result.parts:
        reached = None
        if part.verdict == "violated":
            reached = brute_force.score(part.operations, [step.operation for step in part.order])
        parts.append((part.verdict, reached, frozenset(part.ends), part.is_longest))
    return result.verdict, parts


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, is_wrong=st.booleans())
def test_the_verdict_and_the_longest_prefix_are_those_without_foresight(seed: int, is_wrong: bool) -> None:
    rng = random.Random(seed)
    history = atomic_kv_history(rng, *SIZE)
    if is_wrong:
        history = with_a_wrong_get(rng, history)
    found, blind = check(KeyValue(), history), check(Blind(), history)
    assert found.verdict == blind.verdict
    assume(all(part.is_longest for part in blind.parts))  # without foresight, the limit is reached sooner
    assert told(found) == told(blind)


def test_the_histories_have_both_verdicts_and_right_ones_take_fewer_configurations_with_foresight() -> None:
    right, wrong, configurations = [], [], {KeyValue: 0, Blind: 0}
    for seed in range(100):
        rng = random.Random(seed)
        history = atomic_kv_history(rng, *SIZE)
        right.append(check(KeyValue(), history).verdict)
        changed = with_a_wrong_get(rng, history)
        wrong.append(check(KeyValue(), changed).verdict)
        for spec in configurations:
            configurations[spec] += check(spec(), history).parts[0].configurations
    assert set(right) == {"holds"}
    assert 25 < wrong.count("violated") < 75
    assert configurations[KeyValue] < configurations[Blind] * 0.8


def test_a_foresight_that_is_mistaken_is_seen_by_these_histories() -> None:
    histories = [atomic_kv_history(random.Random(seed), *SIZE) for seed in range(100)]
    assert any(check(Mistaken(), history).verdict == "violated" for history in histories)


@settings(max_examples=300, deadline=None)
@given(
    state=st.text("xy", max_size=2),
    answer=st.text("xy", max_size=3),
    meanwhile=st.lists(
        st.tuples(st.sampled_from(["put", "append", "get"]), st.text("xy", max_size=1), st.booleans()),
        max_size=3,
    ),
)
def test_what_is_ruled_out_is_impossible(
    state: str, answer: str, meanwhile: list[tuple[str, str, bool]]
) -> None:
    spec = KeyValue()
    get = kv_operation(9, "get", answer, Outcome.OK, (90, 91))
    others = [
        kv_operation(
            n, f, value, Outcome.OK if is_answered else Outcome.UNKNOWN, (n, 80 + n if is_answered else None)
        )
        for n, (f, value, is_answered) in enumerate(meanwhile)
    ]
    if not spec.can_lead_to(state, get, others):
        for size in range(len(others) + 1):
            for order in permutations(others, size):
                states = {state}
                for each in order:
                    states = {after for one in states for after in spec.step(one, each)}
                assert not any(spec.step(one, get) for one in states)


def appends_and_a_get(appends: int, answer: str) -> list[Operation]:
    end = 2 * appends
    history = [kv_operation(n, "append", f"{n} ", Outcome.OK, (n, appends + n)) for n in range(appends)]
    return [*history, kv_operation(0, "get", answer, Outcome.OK, (end, end + 1))]


def test_appends_that_a_get_shows_in_order_need_one_order() -> None:
    """Without foresight, every subset of the appends is tried: 2 to the power of 20."""
    answer = "".join(f"{n} " for n in reversed(range(20)))
    result = check(KeyValue(), appends_and_a_get(20, answer))
    assert result.verdict == "holds"
    assert result.parts[0].configurations == 1 + sum(range(1, 21)) + 1


@pytest.mark.parametrize("limit", [{}, {"max_entries": 1_000}, {"budget_seconds": 0.05}])
def test_what_is_refuted_at_once_is_illegal_though_the_longest_prefix_takes_too_long(
    limit: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_AFTER_REFUTED > 10_000
    monkeypatch.setattr("pgweave.history.search.MOST_AFTER_REFUTED", 2_000)
    result = check(KeyValue(), appends_and_a_get(20, "?"), **limit)
    assert (result.verdict, result.reason) == ("violated", "")
    refuted = result.refuted
    assert refuted is not None
    assert not refuted.is_longest
    assert_told_as_given_up(refuted)


def assert_told_as_given_up(part: Part[str]) -> None:
    text = explain(attempt_of(KeyValue(), part))
    assert text.startswith(
        'key "a": the longest linearizable prefix found places 20 of 21 answered operations'
    )
    assert "the search for an order in which one can was given up" in text
    drawn = ET.tostring(figure(attempt_of(KeyValue(), part)), encoding="unicode")
    assert "the longest linearizable prefix found has 20 operations" in drawn
    assert "the search for an order in which one can was given up" in drawn
