"""The bounded model: its exact size, and for each rule a broken model and a program that shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import msgspec
import pytest

from payments_model import (
    RECORDED,
    TERMINAL,
    Authorized,
    Captured,
    Failed,
    Outcome,
    Record,
    State,
    Step,
    apply,
    state_of,
)
from payments_verify.model_checks.state_graph import Graph, ModelState, check_state_graph, explore, unreached
from payments_verify.model_checks.state_graph_bounds import (
    EXPECTED_DEPTH,
    EXPECTED_OUTCOMES,
    EXPECTED_STATES,
    EXPECTED_TRANSITIONS,
    EXPECTED_WITH_ROOM_FOR_ONE,
    Bounds,
    Expected,
)
from payments_verify.model_checks.state_graph_rules import Transition
from payments_verify.result import CheckResult
from payments_verify.state_edges import Edge, edges_of
from pgweave.history.attempt import Attempt
from tests.model.broken_models import (
    MUTANTS,
    amount_before_window,
    broken,
    captured_to_failed,
    create_is_malformed,
    late_by_one,
    reading_what_is_captured_raises,
    window_never_open,
)

SMALL = Bounds(last_instant=1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return explore()


def assert_holds(result: CheckResult) -> None:
    assert (result.verdict, result.counterexample) == ("holds", None)
    full = EXPECTED_WITH_ROOM_FOR_ONE
    assert (result.kind, result.cases) == ("exploration", EXPECTED_TRANSITIONS + full.transitions)
    details = dict(result.details)
    assert details.pop("with_room_for_one_refusal") == asdict(full)
    # Time that moves on is a transition, but no command.
    exercised, answers = details.pop("exercised"), Counter[str]()
    for edge, times in edges_of(exercised).items():
        answers[edge.answer] += times
    assert answers == EXPECTED_OUTCOMES
    taken = edges_of(exercised)[Edge("authorized", "capture", "captured", "captured")]
    assert taken == EXPECTED_OUTCOMES["captured"]
    assert details == {
        "states": EXPECTED_STATES,
        "transitions": EXPECTED_TRANSITIONS,
        "depth": EXPECTED_DEPTH,
        "outcomes": EXPECTED_OUTCOMES,
        "states_by_payment": {
            "none": 3,
            "pending": 166,
            "authorized": 1_038,
            "captured": 516,
            "failed": 7_226,
        },
    }


def test_the_model_holds_with_exactly_the_expected_size_and_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    result = check_state_graph(progress=lambda *args: told.append(args))
    assert_holds(result)
    assert len(told) == EXPECTED_STATES // 500 + EXPECTED_WITH_ROOM_FOR_ONE.states // 500
    assert all(done <= total == EXPECTED_STATES for done, total, _ in told)
    assert all(text.endswith(" transitions") for _, _, text in told)


def test_the_numbers_that_can_be_found_by_hand() -> None:
    instants, amounts, keys = 3, 2, 2
    none = instants
    # pending at n: each of two keys is new, or was refused for one of two amounts at one of n + 1 instants
    pending = sum(amounts * (1 + amounts * (n + 1)) ** keys for n in range(instants))
    assert (none, pending) == (3, 166)
    assert EXPECTED_OUTCOMES["created"] == amounts * none
    assert EXPECTED_OUTCOMES["authorized"] == 2 * pending
    assert EXPECTED_OUTCOMES["not_found"] == (2 + amounts * keys + 2 + 1 + 1) * none
    assert EXPECTED_OUTCOMES["malformed"] == (1 + 1 + keys + 1) * EXPECTED_STATES
    assert EXPECTED_OUTCOMES["read"] == EXPECTED_STATES - none
    assert EXPECTED_OUTCOMES["exists"] == EXPECTED_OUTCOMES["id_conflict"] == EXPECTED_STATES - none
    commands = len(list(Bounds().commands()))
    assert sum(EXPECTED_OUTCOMES.values()) == commands * EXPECTED_STATES


def test_a_second_exploration_written_otherwise_finds_the_same_states(graph: Graph) -> None:
    seen: set[tuple[Record, int]] = set()
    layer = {(Record(), 0)}
    layers = 0
    while layer:
        seen |= layer
        layers += 1
        later = {(record, now + 1) for record, now in layer if now < 2}
        moved = {
            (apply(record, command, now, key)[0], now)
            for record, now in layer
            for command, key in Bounds().commands()
        }
        layer = (later | moved) - seen
    assert seen == {(node.record, node.now) for node in graph.reached}
    assert layers - 1 == EXPECTED_DEPTH


def test_every_way_is_a_program_that_leads_to_its_state_and_is_no_longer_than_its_depth(graph: Graph) -> None:
    for node in list(graph.reached)[::97]:
        record, now = Record(), 0
        way = graph.way_to(node)
        for transition in way:
            assert transition.now >= now
            now = transition.now
            record, done = apply(record, transition.command, now, transition.key)
            assert (record, done) == (transition.after, transition.done)
        assert record == node.record
        assert graph.reached[node][0] == len(way) + node.now


@pytest.mark.invariant("I2")
def test_terminal_states_stay_on_every_edge(graph: Graph) -> None:
    terminal = [
        node.record for node in graph.reached if node.record.payment and _state(node.record) in TERMINAL
    ]
    assert len(terminal) == 516 + 7_226
    for record in terminal[::50]:
        for command, key in Bounds().commands():
            assert apply(record, command, 2, key)[0].payment == record.payment


@pytest.mark.invariant("I5")
def test_captures_are_decided_just_before_at_and_after_the_end_of_the_window(graph: Graph) -> None:
    decided: dict[int, set[Outcome]] = {-1: set(), 0: set(), 1: set()}
    for record, _ in graph.reached:
        if isinstance(record.payment, Authorized | Captured | Failed):
            for _, attempt in record.attempts:
                offset = attempt.decided_at - record.payment.capture_expires_at
                if offset in decided:
                    decided[offset].add(attempt.outcome)
    assert {offset for offset, outcomes in decided.items() if Outcome.CAPTURED in outcomes} == {-1}
    assert {offset for offset, outcomes in decided.items() if Outcome.WINDOW_EXPIRED in outcomes} == {0, 1}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_model_is_a_violation_that_names_the_rule(name: str) -> None:
    mutant, rule = MUTANTS[name]
    found = check_state_graph(mutant)
    assert found.verdict == "violated"
    assert found.counterexample is not None
    rules, _, program = found.counterexample.partition("\n1. at 0: ")
    assert rule in rules.splitlines()
    assert program


def test_the_shortest_program_to_a_wrong_edge() -> None:
    found = check_state_graph(broken(captured_to_failed))
    assert found.counterexample == (
        "I2: captured is terminal, and the payment changed\n"
        "I6: captured without exactly one successful attempt, or the reverse\n"
        "I6: an attempt is stored that cannot be\n"
        "1. at 0: Create(amount=1) -> CREATED\n"
        "    Pending(amount=1)\n"
        "2. at 0: Authorize(window=1) -> AUTHORIZED\n"
        "    Authorized(amount=1, authorized_at=0, capture_expires_at=1)\n"
        "3. at 0: Capture(amount=1) under key a -> CAPTURED\n"
        "    Captured(amount=1, authorized_at=0, capture_expires_at=1, captured_at=0, captured_amount=1);"
        " key a: 1 -> CAPTURED at 0\n"
        "4. at 0: Fail(reason=<FailureReason.DECLINED: 1>) -> FAILED\n"
        "    Failed(amount=1, authorized_at=0, capture_expires_at=1, failed_at=0,"
        " reason=<FailureReason.DECLINED: 1>); key a: 1 -> CAPTURED at 0"
    )


def test_the_shortest_program_to_a_late_capture_waits_for_the_end_of_the_window() -> None:
    found = check_state_graph(broken(late_by_one))
    assert found.counterexample is not None
    assert [line for line in found.counterexample.splitlines() if line[0].isdigit()] == [
        "1. at 0: Create(amount=1) -> CREATED",
        "2. at 0: Authorize(window=1) -> AUTHORIZED",
        "3. at 1: Capture(amount=1) under key a -> CAPTURED",
    ]


def test_the_shortest_program_to_an_answer_that_is_missing() -> None:
    found = check_state_graph(broken(reading_what_is_captured_raises))
    assert found.counterexample is not None
    assert found.counterexample.endswith("\n4. at 0: Read()")


@pytest.mark.parametrize(
    ("model", "last", "rule"),
    [
        (captured_to_failed, "-> FAILED", "I2: captured is terminal, and the payment changed"),
        (reading_what_is_captured_raises, "at 0: Read()", "every command has an answer: "),
    ],
)
def test_the_shortest_program_is_drawn_as_well(model: Any, last: str, rule: str) -> None:
    (drawing,) = check_state_graph(broken(model)).timelines
    attempt = msgspec.convert(drawing["attempt"], Attempt)
    assert [attempt.calls[each].text for each in attempt.order][:2] == [
        "at 0: Create(amount=1) -> CREATED",
        "at 0: Authorize(window=1) -> AUTHORIZED",
    ]
    (blocked,) = attempt.blocked
    assert attempt.calls[blocked.call].text.endswith(last)
    assert blocked.expected.startswith(rule)
    assert attempt.standard == "the rule that is broken"
    assert "Captured(" in attempt.moments[-1].state


# ---- size and reach -----------------------------------------------------------------------------


def size(graph: Graph) -> Expected:
    return Expected(len(graph.reached), graph.transitions, graph.depth, dict(graph.outcomes))


@cache
def small() -> Expected:
    return size(explore(bounds=SMALL))


def test_another_order_of_precedence_has_other_counts() -> None:
    right = small()
    assert check_state_graph(bounds=SMALL, expected=right).verdict == "holds"
    found = check_state_graph(broken(amount_before_window), SMALL, right)
    assert found.verdict == "violated"
    assert found.counterexample is not None
    counted = right.outcomes["amount_mismatch"]
    assert f"counts: answers amount_mismatch: expected {counted}, found " in found.counterexample
    assert "write the new numbers into state_graph_bounds.py" in found.counterexample
    assert "reached:" not in found.counterexample


def test_an_answer_that_is_never_given_is_a_violation() -> None:
    right = small()
    found = check_state_graph(broken(window_never_open), SMALL, right)
    assert found.verdict == "violated"
    assert found.counterexample is not None
    assert "reached: no command was ever answered window_open" in found.counterexample
    counted = right.outcomes["window_open"]
    assert f"counts: answers window_open: expected {counted}, found 0" in found.counterexample


@pytest.mark.parametrize("field", ["states", "transitions", "depth"])
def test_each_number_is_exact(field: str) -> None:
    right = small()
    value = getattr(right, field)
    found = check_state_graph(bounds=SMALL, expected=replace(right, **{field: value + 1}))
    assert found.verdict == "violated"
    counts = [line for line in str(found.counterexample).splitlines() if line.startswith("counts: ")]
    assert counts == [f"counts: {field}: expected {value + 1:,}, found {value:,}"]


def test_what_cannot_be_reached_is_no_success() -> None:
    mutant = broken(create_is_malformed)
    found = check_state_graph(mutant, expected=size(explore(mutant)))
    assert found.verdict == "violated"
    lines = str(found.counterexample).splitlines()
    assert [line for line in lines if "there is no state" in line] == [
        f"reached: there is no state with the payment {state.name.lower()}" for state in State
    ]
    out_of_reach = {Outcome.MALFORMED, Outcome.NOT_FOUND, Outcome.TOO_MANY_REFUSALS}
    unanswered = len(set(Outcome) - out_of_reach) + len(RECORDED)
    assert sum("was ever answered" in line for line in lines) == unanswered == len(lines) - len(State)


def test_with_one_key_no_answer_that_needs_another_could_be_repeated() -> None:
    one_key = Bounds(keys=("a",))
    found = check_state_graph(bounds=one_key, expected=size(explore(bounds=one_key)))
    assert (found.verdict, found.counterexample) == (
        "violated",
        "reached: no command was ever answered already_captured (replayed)",
    )


def test_a_model_without_end_gets_no_verdict() -> None:
    found = check_state_graph(bounds=Bounds(max_states=100))
    assert found.verdict == "no verdict"
    assert found.counterexample == "more than 100 states: the model does not stay within the bounds"


def test_the_first_state_has_nothing_stored() -> None:
    assert next(iter(explore(bounds=Bounds(max_states=0)).reached)) == ModelState(Record(), 0)


def _state(record: Record) -> State | None:
    return None if record.payment is None else state_of(record.payment)


@pytest.mark.invariant("I11")
def test_with_room_for_one_refusal_a_second_leaves_nothing_and_a_success_needs_none() -> None:
    bounds = Bounds(max_refusals=1)
    graph = explore(bounds=bounds)
    assert unreached(graph, bounds) == []
    refused = [
        sum(each.outcome is not Outcome.CAPTURED for _, each in node.record.attempts)
        for node in graph.reached
    ]
    assert set(refused) == {0, 1}
    captured = [node.record for node in graph.reached if isinstance(node.record.payment, Captured)]
    assert any(len(record.attempts) == 2 for record in captured)


def storing_beyond_the_bound(real: Transition) -> tuple[Record, Step] | None:
    if real.done.outcome is not Outcome.TOO_MANY_REFUSALS:
        return None
    after, done = apply(replace(real.before, max_refusals=None), real.command, real.now, real.key)
    return replace(after, max_refusals=real.before.max_refusals), done


def refusing_for_want_of_room_what_would_succeed(real: Transition) -> tuple[Record, Step] | None:
    if real.done.outcome is not Outcome.CAPTURED or real.done.replayed or real.before.refusals_left:
        return None
    return real.before, Step(real.before.payment, None, Outcome.TOO_MANY_REFUSALS)


def finding_no_room_where_there_is_some(real: Transition) -> tuple[Record, Step] | None:
    if real.done.outcome is not Outcome.NOT_AUTHORIZED or real.done.replayed or real.key is None:
        return None
    return real.before, Step(real.before.payment, None, Outcome.TOO_MANY_REFUSALS)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (storing_beyond_the_bound, "I11: a refusal was stored beyond the bound"),
        (refusing_for_want_of_room_what_would_succeed, "I11: want of room refused what would succeed"),
        (finding_no_room_where_there_is_some, "I11: a refusal found no room, and there was some"),
    ],
)
def test_a_model_that_is_wrong_about_the_bound_is_found(change: Any, rule: str) -> None:
    found = check_state_graph(broken(change))
    assert found.verdict == "violated"
    assert rule in (found.counterexample or "")
