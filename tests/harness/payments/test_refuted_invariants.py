"""A history that is refuted says which invariants it breaks, where that follows from the answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.bench.long_history import write
from payments_verify.payments.specification.refuted_invariants import invariants_refuted, not_linearizable
from payments_verify.payments.specification.spec import Payments
from pgweave.history.json_lines import parse
from pgweave.history.linearizability import check
from pgweave.history.operations import Operation
from pgweave.history.pairing import Event, Pairing
from tests.harness.payments.test_stress import _stressed

Step = tuple[str, dict[str, Any], dict[str, Any]]

BEGIN, END = 1_000, 5_000
AUTHORIZED = {"state": "authorized", "amount": 500, "authorized_at": BEGIN, "capture_expires_at": END}
CAPTURED = AUTHORIZED | {"state": "captured", "captured_at": 2_000, "captured_amount": 500}
FAILED = AUTHORIZED | {"state": "failed", "failed_at": 3_000, "reason": "voided"}
PENDING = {"state": "pending", "amount": 500}
BEGUN: tuple[Step, ...] = (
    ("create", {"amount": 500}, {"outcome": "created", "payment": PENDING}),
    ("authorize", {"window": END - BEGIN}, {"outcome": "authorized", "payment": AUTHORIZED}),
)


def capture(key: str, outcome: str = "captured", amount: int = 500, **seen: Any) -> Step:
    return "capture", {"key": key, "amount": amount}, {"outcome": outcome, **seen}


def first(key: str, outcome: str = "captured", amount: int = 500, decided_at: int = 2_000) -> Step:
    return capture(key, outcome, amount, replayed=False, decided_at=decided_at)


def read(view: dict[str, Any]) -> Step:
    return "read", {}, {"outcome": "read", "payment": view}


def attempts(*keys: str) -> Step:
    listed = [{"key": key, "amount": 500, "outcome": "captured", "decided_at": 2_000} for key in keys]
    return "attempts", {}, {"outcome": "read", "attempts": listed}


def clock(now: int) -> Step:
    return "clock", {"now": now}, {"now": now}


def refuted(*steps: Step, overlapping: int = 0) -> Sequence[Operation]:
    """The refuted part of a history of steps one after the other, of which the last may overlap."""
    pairing = Pairing()
    for process, (f, value, _) in enumerate(steps):
        argument = value if f == "clock" else {"payment": "p", **value}
        pairing.add(Event("invoke", process, f, argument, None))
        if process < len(steps) - overlapping:
            pairing.add(Event("ok", process, f, steps[process][2], None))
    for process in range(len(steps) - overlapping, len(steps)):
        pairing.add(Event("ok", process, steps[process][0], steps[process][2], None))
    part = check(Payments(), pairing.operations()).refuted
    assert part is not None, "the history is linearizable"
    return part.operations


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ([first("a"), first("b")], "I1"),
        ([capture("a", decided_at=2_000), capture("b", decided_at=2_001)], "I1"),
        ([first("a"), attempts("a", "b")], "I1"),
        ([first("a"), first("a", decided_at=2_001)], "I3"),
        ([capture("a", "already_captured"), capture("a"), capture("a", "payment_failed")], "I3"),
        ([capture("a", body="1"), capture("a", replayed=True, body="2")], "I3"),
        ([first("a"), capture("a", "key_reused")], "I3"),
        ([first("a"), capture("a", amount=501, replayed=True, decided_at=2_000)], "I4"),
        ([first("a"), capture("b", replayed=True, decided_at=2_000)], "I3"),
        ([first("a", decided_at=2_001), attempts("a")], "I3"),
        ([first("a", decided_at=END)], "I5"),
        ([first("a", "window_expired", decided_at=END - 1)], "I5"),
        ([clock(1_500), first("a", decided_at=1_400)], "I5"),
        ([clock(1_500), first("a", "amount_mismatch", decided_at=1_400)], "I5"),
        ([clock(END + 1), capture("a", replayed=False)], "I5"),
        ([read(CAPTURED), read(FAILED)], "I2"),
        ([attempts("a"), read(FAILED)], "I6"),
        ([first("a"), read(AUTHORIZED)], "I8"),
        ([read(PENDING)], "I8"),
        ([("read", {}, {"outcome": "not_found"})], "I8"),
        ([capture("a", "not_found")], "I8"),
        ([capture("a", "already_captured"), read(CAPTURED)], "I11"),
    ],
)
def test_what_the_answers_prove(steps: list[Step], broken: str) -> None:
    found = refuted(*BEGUN, *steps)
    assert invariants_refuted(found) == (broken,)
    assert not_linearizable(found) == f"{broken}: not linearizable"


def test_a_move_that_nobody_was_told_of() -> None:
    refusal = ("authorize", {"window": 4_000}, {"outcome": "already_authorized"})
    assert invariants_refuted(refuted(BEGUN[0], refusal, read(AUTHORIZED))) == ("I11",)


@pytest.mark.parametrize("outcome", ["captured", "amount_mismatch"])
def test_a_lock_that_somebody_held_while_the_window_ended(outcome: str) -> None:
    """The capture waits for the lock; what it decides by is no earlier than the clock when it got it."""
    pairing = Pairing()
    for process, (f, value, answer) in enumerate(BEGUN):
        pairing.add(Event("invoke", process, f, {"payment": "p", **value}, None))
        pairing.add(Event("ok", process, f, answer, None))
    steps: list[tuple[Any, int, str, dict[str, Any]]] = [
        ("invoke", 2, "lock", {"payment": "p"}),
        ("ok", 2, "lock", {}),
        ("invoke", 3, "capture", {"payment": "p", "key": "a", "amount": 500}),
        ("invoke", 4, "clock", {"now": END + 1}),
        ("ok", 4, "clock", {"now": END + 1}),
        ("invoke", 2, "unlock", {"payment": "p"}),
        ("ok", 2, "unlock", {}),
        ("ok", 3, "capture", {"outcome": outcome, "replayed": False, "decided_at": 2_000}),
    ]
    for kind, process, f, value in steps:
        pairing.add(Event(kind, process, f, value, None))
    part = check(Payments(), pairing.operations()).refuted
    assert part is not None
    assert invariants_refuted(part.operations) == ("I5",)


@pytest.mark.parametrize(
    "steps",
    [
        # It may be that the first is lost, or that the second knows nothing of it.
        [capture("a"), capture("b")],
        [first("a"), capture("a", "key_reused"), capture("a", "key_reused", amount=501)],
        [first("a"), capture("b", "payment_failed", also=["amount_mismatch"])],
        [first("a"), capture("b", "not_authorized")],
        [first("a"), attempts()],
    ],
)
def test_where_more_than_one_is_possible_it_says_no_more_than_that(steps: list[Step]) -> None:
    found = refuted(*BEGUN, *steps)
    assert invariants_refuted(found) == ("I10",)
    assert not_linearizable(found) == "not linearizable"


def parts(file: Path) -> list[Sequence[Operation]]:
    history = parse(file.read_bytes(), str(file))
    return [part.operations for part in check(Payments(), history.operations).parts]


def test_a_history_that_is_right_proves_nothing(tmp_path: Path) -> None:
    """Whatever is told of a refuted history would be wrong of a right one."""
    long = tmp_path / "long.jsonl"
    write(long, operations=4_000, clients=8, payments=40, seed=3)
    stressed = tmp_path / "stress"
    stressed.mkdir()
    files = [long, *_stressed(stressed, None).histories]
    found = [part for file in files for part in parts(file)]
    assert len(found) > 50
    assert {invariants_refuted(part) for part in found} == {("I10",)}
