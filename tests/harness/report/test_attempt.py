"""The attempt to linearize a history, as data, and where a picture of it puts things."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from payments_verify.report.attempt_figure import figure
from payments_verify.report.attempt_svg import drawing
from payments_verify.report.places import OWN_LANES, by_event, by_time, lanes
from payments_verify.specs import spec_named
from pgweave.history.attempt import AFTERWARDS, Attempt, attempt_of
from pgweave.history.formats import load
from pgweave.history.linearizability import Result, check
from pgweave.history.operations import Operation, Outcome
from pgweave.history.spec import Spec
from pgweave.history.specs.cas_register import CasRegister
from tests.docs.pages import ROOT
from tests.pgweave.small_specs import kv_history, register_history

NAIVE = ROOT / "specs" / "histories" / "naive-capture.jsonl"


def attempted(spec: Spec[Any], operations: list[Operation], shown: int = 300) -> tuple[Result[Any], Attempt]:
    result = check(spec, operations)
    part = result.refuted or result.parts[0]
    return result, attempt_of(spec, part, operations, shown=shown)


def naive() -> Attempt:
    history = load(NAIVE)
    return attempted(spec_named("payments"), list(history.operations))[1]


def write(process: int, called: int, returned: int | None, value: int) -> Operation:
    outcome = Outcome.UNKNOWN if returned is None else Outcome.OK
    return Operation(process, "write", value, outcome, None, called, returned)


def read(process: int, called: int, value: int | None) -> Operation:
    return Operation(process, "read", None, Outcome.OK, value, called, called + 1)


def test_it_says_what_could_have_come_next_and_what_the_model_answers() -> None:
    attempt = naive()
    assert [attempt.calls[each].text for each in attempt.order] == [
        "create 1000 -> created",
        "authorize -> authorized",
        "capture a 1000 -> captured",
    ]
    assert [moment.state for moment in attempt.moments] == [
        "no payment",
        "pending",
        "authorized",
        "captured a=captured",
    ]
    (blocked,) = attempt.blocked
    assert attempt.calls[blocked.call].text == "capture b 1000 -> captured"
    assert (blocked.expected, blocked.fits) == ("already_captured", False)
    assert attempt.horizon == attempt.calls[blocked.call].returned
    # Before one of them was placed, either could have been.
    assert [(each.expected, each.fits) for each in attempt.moments[2].candidates] == [("captured", True)] * 2


def test_the_arguments_are_those_that_were_recorded() -> None:
    asked = [call.asked for call in naive().calls]
    assert '{"payment": "p1", "key": "b", "amount": 1000}' in asked
    assert not any("earliest" in each for each in asked)


def test_it_is_written_and_read_back_unchanged() -> None:
    attempt = naive()
    assert msgspec.json.decode(msgspec.json.encode(attempt), type=Attempt) == attempt
    assert msgspec.convert(msgspec.to_builtins(attempt), Attempt) == attempt


@pytest.mark.parametrize(
    ("spec", "draw"), [(CasRegister(), register_history), (spec_named("kv"), kv_history)], ids=["cas", "kv"]
)
def test_of_any_history_it_tells_the_truth(spec: Spec[Any], draw: Any) -> None:
    seen = set()
    for seed in range(300):
        operations = draw(random.Random(seed))
        if not operations:
            continue
        result, attempt = attempted(spec, operations)
        seen.add(result.verdict)
        assert attempt.is_linearizable == (result.verdict == "holds")
        by_called = {operation.called: operation for operation in operations}
        last = -1.0
        scale = by_event(attempt)
        for place, number in enumerate(attempt.order):
            # What was placed was offered, and fitted.
            offered = {each.call: each.fits for each in attempt.moments[place].candidates}
            assert offered[number] is True
            begin, end = scale.spans[number]
            assert begin < scale.points[number] < end
            assert last <= scale.points[number]
            last = scale.points[number]
            if scale.horizon is not None:
                assert scale.points[number] < scale.horizon
        for each in attempt.blocked:
            assert not each.fits
            assert each.expected
            assert by_called[attempt.calls[each.call].called].returned is not None
        assert bool(attempt.blocked) is not attempt.is_linearizable
    assert seen == {"holds", "violated"}


def test_of_a_long_order_the_end_is_kept() -> None:
    operations = [write(0, 2 * each, 2 * each + 1, each) for each in range(50)]
    operations += [read(1, 100, 7)]
    operations += [write(2, 102 + 2 * each, 103 + 2 * each, each) for each in range(AFTERWARDS + 5)]
    _, attempt = attempted(CasRegister(), operations, shown=10)
    assert (attempt.hidden, len(attempt.order), attempt.later) == (40, 10, 5)
    assert attempt.moments[0].state == "39"
    assert [attempt.calls[each].place for each in attempt.order] == list(range(41, 51))
    assert (attempt.explained, attempt.answered) == (50, 51 + AFTERWARDS + 5)
    assert [attempt.calls[each.call].text for each in attempt.blocked] == ["read -> 7"]


def test_an_undecided_part_has_no_attempt() -> None:
    operations = [write(each, each, 100 + each, each) for each in range(30)] + [read(99, 300, 77)]
    result = check(CasRegister(), operations, max_entries=5)
    assert result.verdict == "no verdict"
    with pytest.raises(ValueError, match="not decided"):
        attempt_of(CasRegister(), result.parts[0])


def test_each_process_has_a_lane_until_there_are_many() -> None:
    few = [write(each, 2 * each, 2 * each + 1, each) for each in range(OWN_LANES)]
    assert [lane.name for lane in lanes(attempted(CasRegister(), few)[1])] == [
        f"process {each}" for each in range(OWN_LANES)
    ]
    many = [write(each, 2 * each, 2 * each + 1, each) for each in range(40)] + [read(0, 80, 39)]
    found = lanes(attempted(CasRegister(), many)[1])
    assert [lane.name for lane in found] == ["process 0", "others"]
    assert sorted(number for lane in found for number in lane.calls) == list(range(41))


def test_no_two_bars_of_a_lane_overlap() -> None:
    for seed in range(100):
        operations = kv_history(random.Random(seed))
        if not operations:
            continue
        attempt = attempted(spec_named("kv"), operations)[1]
        scale = by_event(attempt)
        for lane in lanes(attempt):
            spans = sorted(scale.spans[number] for number in lane.calls)
            assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_where_times_are_known_there_is_a_scale_of_them() -> None:
    attempt = naive()
    clock = by_time(attempt)
    assert clock is not None
    assert clock.width == by_event(attempt).width
    assert [begin for begin, _ in clock.spans] == sorted(begin for begin, _ in clock.spans)
    untimed = [write(0, 0, 1, 1), read(1, 2, 1)]
    assert by_time(attempted(CasRegister(), untimed)[1]) is None


def test_a_label_is_whole_where_there_is_room_beside_its_bar() -> None:
    attempt = naive()
    picture, _ = drawing(attempt)
    shown = [each.text for each in picture.iterfind(".//g[@data-call]/text")]
    assert shown == [f"{attempt.name_of(n)} {call.text}".strip() for n, call in enumerate(attempt.calls)]
    crowded = [write(0, 2 * at, 2 * at + 1, at) for at in range(40)]
    picture, _ = drawing(attempted(CasRegister(), crowded)[1])
    assert any("…" in str(each.text) for each in picture.iterfind(".//g[@data-call]/text"))


def test_the_legend_stands_above_the_picture_where_no_panel_covers_it() -> None:
    kinds = [child.tag for child in figure(naive())]
    drawn = next(number for number, child in enumerate(figure(naive())) if child.get("class") == "lanes")
    assert kinds.index("figcaption") < drawn
