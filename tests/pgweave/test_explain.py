"""Explanations of refutations, as data and as text."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from payments_verify.specs import spec_named
from pgweave.history.attempt import Attempt, attempt_of
from pgweave.history.explain import explain
from pgweave.history.formats import load
from pgweave.history.lanes import Bar, draw
from pgweave.history.linearizability import check
from pgweave.history.operations import Outcome
from tests.pgweave.small_specs import OURS, SMALL

HISTORIES = Path(__file__).parent / "histories"


def attempt_at(path: Path) -> Attempt:
    history = load(path)
    assert history.spec is not None
    spec = spec_named(history.spec)
    refuted = check(spec, history.operations).refuted
    assert refuted is not None
    return attempt_of(spec, refuted)


def blocked_in(attempt: Attempt) -> list[tuple[str, str]]:
    """What was observed of each operation that cannot come next, and what would have been right."""
    return [(attempt.calls[each.call].text, each.expected) for each in attempt.blocked]


def test_a_lost_update_is_explained() -> None:
    found = attempt_at(HISTORIES / "cas-register-bad-lost-update.jsonl")
    assert (found.spec, found.label, found.answered, found.explained) == ("cas-register", "register", 3, 2)
    placed = [found.calls[each] for each in found.order]
    assert [(call.process, call.text) for call in placed] == [(0, "write 1 -> ok"), (1, "cas [1, 2] -> ok")]
    assert [moment.state for moment in found.moments] == ["None", "1", "2"]
    assert blocked_in(found) == [("cas [1, 3] -> ok", "fail")]
    assert (found.unanswered, found.other_states) == (0, ())


LOST_UPDATE = """\
register: a longest linearizable prefix places 2 of 3 answered operations; the state is after each
                initially         None
  1  process 0  write 1 -> ok     1
  2  process 1  cas [1, 2] -> ok  2

one of these has to come next, and none can; where the state is 2
  A  process 2  cas [1, 3] -> ok  but cas-register answers fail

time goes to the right
process 0  |-1-|
process 1          |-2-----|
process 2              |-A-----|"""


def test_a_lost_update_is_drawn() -> None:
    text = explain(attempt_at(HISTORIES / "cas-register-bad-lost-update.jsonl"))
    assert text == LOST_UPDATE


def test_unanswered_operations_that_could_be_next_are_counted() -> None:
    found = attempt_at(HISTORIES / "cas-register-bad-unknown-write-takes-effect-twice.jsonl")
    assert [found.calls[each].text for each in found.order] == [
        "write 1 -> ok",
        "write 2 -> ?",
        "read -> 2",
        "write 1 -> ok",
    ]
    assert blocked_in(found) == [("read -> 2", "1")]
    assert found.unanswered == 0
    found = attempt_at(HISTORIES / "cas-register-bad-value-from-nowhere.jsonl")
    assert found.unanswered == 1
    assert "nor after any of the 1 unanswered operations that could be next" in explain(found)


@pytest.mark.parametrize("path", [path for path in OURS if "-bad-" in path.name], ids=lambda path: path.stem)
def test_every_bad_history_of_ours_is_explained(path: Path) -> None:
    found = attempt_at(path)
    assert found.blocked
    text = explain(found)
    for observed, expected in blocked_in(found):
        assert f"{observed}  but {found.spec} answers {expected}" in text
        assert expected not in observed.split("-> ")[1]


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_that_is_said_to_be_blocked_can_come_next(name: str, seed: int) -> None:
    spec, history = SMALL[name]
    refuted = check(spec, history(random.Random(seed))).refuted
    assume(refuted is not None)
    assert refuted is not None
    found = attempt_of(spec, refuted)
    assert found.moments[-1].state == repr(refuted.ends[0])
    operations = {operation.called: operation for operation in refuted.operations}
    could_be_next = [operations[found.calls[each.call].called] for each in found.moments[-1].candidates]
    blocked = [operations[found.calls[each.call].called] for each in found.blocked]
    optional = [each for each in could_be_next if each.outcome is Outcome.UNKNOWN]
    assert len(blocked) >= 1
    assert [each.returned for each in blocked] == sorted(each.returned or 0 for each in blocked)
    assert found.unanswered == sum(not spec.observes(each) for each in optional)
    assert all(spec.step(refuted.ends[0], each) == () for each in blocked)
    for each in optional:
        for state in spec.step(refuted.ends[0], each):
            assert all(spec.step(state, other) == () for other in blocked)
    assert explain(found).count("but ") == len(blocked)


def line(kind: str, process: int, f: str, value: str) -> str:
    asked = {"key": "k"} if (f, kind) == ("get", "invoke") else {"key": "k", "value": value}
    return json.dumps({"type": kind, "process": process, "f": f, "value": asked})


def test_long_explanations_stay_readable(tmp_path: Path) -> None:
    lines = []
    for number, kind in product(range(40), ("invoke", "ok")):
        lines.append(line(kind, 0, "append", f"{number:05}"))
    for kind in ("invoke", "ok"):
        lines += [line(kind, process, "get", f"?{process}") for process in range(1, 31)]
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(['{"format": "payments-verify-history", "version": 1, "spec": "kv"}', *lines]))
    text = explain(attempt_at(path))
    assert "40 of 70 answered operations" in text
    assert "32 operations" in text
    assert "and 22 more" in text
    assert max(map(len, text.split("\n"))) < 200
    assert len(text.split("\n")) < 50


def test_only_a_refuted_part_is_explained() -> None:
    history = load(HISTORIES / "kv-ok-two-keys.jsonl")
    spec = spec_named("kv")
    (part, *_) = check(spec, history.operations).parts
    assert part.verdict == "holds"
    with pytest.raises(ValueError, match='key "a": holds; only a refuted part'):
        explain(attempt_of(spec, part))


def test_lanes() -> None:
    bars = [Bar("p1", 1, "A", 10, None), Bar("p0", 0, "1", 3, 12), Bar("p1", 1, "99", 4, 9)]
    assert list(draw(bars)) == [
        "p0  |-1-----------------|",
        "p1       |-99-|    |-A-------",
    ]
    assert list(draw([])) == []
