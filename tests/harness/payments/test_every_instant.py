"""The instants that the specification tries, against all there are: on small histories both say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from payments_model import Record
from payments_verify.payments.observed.observations import Invocation, is_success
from payments_verify.payments.specification import steps
from payments_verify.payments.specification.oracle import answer
from payments_verify.payments.specification.spec import Payments
from pgweave.history.linearizability import check
from pgweave.history.operations import Operation, Outcome
from pgweave.verdict import Verdict

LAST = 24
COMMANDS: dict[str, dict[str, list[Any]]] = {
    "create": {"amount": [500]},
    "authorize": {"window": [3, 6]},
    "capture": {"key": ["a", "b"], "amount": [500, 500, 501]},
    "fail": {"reason": ["voided"]},
    "read": {},
    "attempts": {},
}
DATES = ("decided_at", "captured_at", "failed_at", "authorized_at", "capture_expires_at")


def every_instant(state: steps.PaymentState, operation: Operation, seen: int | None) -> Iterator[int]:
    value = steps.value_of(operation)
    earliest = max(state.decided, value["earliest"])
    for instant in range(LAST + 1) if seen is None else [seen]:
        if earliest <= instant <= value["latest"]:
            yield instant


def without(hidden: set[str], seen: Any) -> Any:
    """An answer, or a part of it, of a service that does not tell these."""
    if isinstance(seen, list):
        return [without(hidden, each) for each in seen]
    if not isinstance(seen, dict):
        return seen
    return {name: without(hidden, value) for name, value in seen.items() if name not in hidden}


def right_history(rng: random.Random) -> list[Operation]:
    """What a right service answers one after the other; some answers are lost, and so are some requests."""
    hidden = {name for name in (*DATES, "as_of", "replayed") if rng.random() < 0.6}
    if hidden & {"authorized_at", "capture_expires_at"}:
        hidden |= {"authorized_at", "capture_expires_at"}
    record, now, waiting = Record(), 0, list[tuple[int, Invocation]]()
    found = []
    for number, f in enumerate(("create", *rng.choices(list(COMMANDS), [1, 3, 6, 1, 2, 1], k=6))):
        now = min(LAST, now + rng.randrange(5))
        value = {"payment": "p", **{name: rng.choice(each) for name, each in COMMANDS[f].items()}}
        if rng.random() < 0.3:
            waiting.append((number, Invocation(f, value)))
            found.append(Operation(number, f, value, Outcome.UNKNOWN, None, 2 * number, None))
        else:
            record, seen = answer(record, Invocation(f, value), now)
            told = without(hidden if f == "read" else hidden | {"as_of"}, seen)
            outcome = Outcome.OK if is_success(told["outcome"]) else Outcome.FAIL
            found.append(Operation(number, f, value, outcome, told, 2 * number, 2 * number + 1))
        while waiting and rng.random() < 0.5:
            record, _ = answer(record, waiting.pop(0)[1], now)
    return found


def with_a_wrong_instant(rng: random.Random, history: list[Operation]) -> list[Operation]:
    """The same, but one date is another; or one capture is answered otherwise."""
    number = rng.randrange(len(history))
    one = history[number]
    told: Any = one.response
    if told is None:
        return history
    of_payment = told.get("payment", {})
    dates = sorted(set(DATES) & (told.keys() | of_payment.keys()))
    if dates:
        name = rng.choice(dates)
        held = told if name in told else of_payment
        moved = {name: max(0, held[name] + rng.choice([-2, -1, 1, 2]))}
        told = told | moved if name in told else told | {"payment": of_payment | moved}
    elif one.f == "capture":
        told = told | {"outcome": rng.choice(["captured", "window_expired", "not_authorized"])}
    outcome = Outcome.OK if is_success(told["outcome"]) else Outcome.FAIL
    changed = Operation(one.process, one.f, one.value, outcome, told, one.called, one.returned)
    return [*history[:number], changed, *history[number + 1 :]]


def verdicts(history: list[Operation]) -> tuple[Verdict, Verdict]:
    """By the instants that the specification tries, and by all."""
    tried = check(Payments(), history).verdict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_possible", every_instant)
        return tried, check(Payments(), history).verdict


def test_no_instant_that_matters_is_left_out() -> None:
    rng = random.Random(1)
    seen = set()
    for _ in range(150):
        history = right_history(rng)
        assert verdicts(history) == ("holds", "holds"), history
        history = with_a_wrong_instant(rng, history)
        tried, by_all = verdicts(history)
        assert tried == by_all, history
        seen.add(tried)
    assert seen == {"holds", "violated"}
