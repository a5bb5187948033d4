"""Judges a window's history: whether it is linearizable, and which acknowledged captures are lost."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from payments_model import MAX_STORED_REFUSALS
from payments_verify.nemesis.rows import DIRECTLY
from payments_verify.nemesis.window import WindowReport
from payments_verify.payments.specification.refuted_invariants import not_linearizable
from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.specification.transitions import edges_of_parts
from payments_verify.payments.told.drawings import refuted
from payments_verify.state_edges import edge_counts
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.formats import load
from pgweave.history.linearizability import check
from pgweave.history.operations import HistoryError, Operation
from pgweave.history.spec import SpecError
from pgweave.verdict import Verdict
from pgweave.visible import counted

_BUDGET_S = 300.0


class Judgement(msgspec.Struct, kw_only=True):
    """What was found for a window.

    Attributes:
        verdict: whether everything holds.
        operations: how many its history has, direct looks included.
        acknowledged: payments of which a client was told that they are captured.
        lost: of these, those of which the database has no such capture (I7).
        doubled: payments with more than one successful capture, stored or told (I1).
        seconds: how long the check took.
        problem: what is wrong, or why there is no verdict; ``None`` if all holds.
        exercised: the model's transitions in the linearization.
        drawing: the attempt to linearize the history, for a page, where it is not linearizable.
    """

    verdict: Verdict
    operations: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    problem: str | None = None
    exercised: list[dict[str, Any]] = []
    drawing: dict[str, Any] | None = None


def judgement_file(history: Path) -> Path:
    """Where the judgement of a history is kept."""
    return history.with_suffix(".verdict.json")


def judge(history: Path) -> Judgement:
    """Check the history of a window, with what the window's report says, and keep the judgement beside it."""
    began = time.monotonic()
    try:
        found = _judge(history)
    except (HistoryError, SpecError, OSError, msgspec.MsgspecError) as error:
        found = Judgement(verdict="no verdict", problem=f"{history}: {error}")
    found.seconds = round(time.monotonic() - began, 3)
    judgement_file(history).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return found


def kept(history: Path) -> Judgement | None:
    """The judgement that was kept of a history, if there is one."""
    try:
        return msgspec.json.decode(judgement_file(history).read_bytes(), type=Judgement)
    except (OSError, msgspec.MsgspecError):
        return None


def _judge(history: Path) -> Judgement:
    report = msgspec.json.decode(history.with_suffix(".json").read_bytes(), type=WindowReport)
    operations = load(history).operations
    found = _count(operations)
    problems = [*report.findings]
    if not report.is_complete:
        # Without the last look it is not known when that was decided of which nobody heard.
        found.verdict = "violated" if problems else "no verdict"
        found.problem = "\n".join([f"{history}: the window did not come to its end", *problems])
        return found
    payments = Payments(MAX_STORED_REFUSALS)
    result = check(payments, operations, budget_seconds=_BUDGET_S)
    found.exercised = edge_counts(edges_of_parts(result.parts))
    if found.lost or found.doubled:
        broken = ", ".join(name for name, count in (("I1", found.doubled), ("I7", found.lost)) if count)
        problems.append(f"{broken}: {found.lost} acknowledged captures are lost, {found.doubled} doubled")
    if result.refuted is not None:
        broken = not_linearizable(result.refuted.operations)
        problems.append(f"{broken}\n{explain(attempt_of(payments, result.refuted))}")
        found.drawing = dict(refuted(str(history), result.refuted, operations))
    undecided = _undecided(report, operations, result.verdict, result.reason)
    if problems:
        found.verdict = "violated"
    elif undecided:
        found.verdict, problems = "no verdict", [undecided]
    found.problem = f"{history}: " + "\n".join(problems) if problems else None
    return found


def _undecided(
    report: WindowReport, operations: Sequence[Operation], verdict: Verdict, reason: str
) -> str | None:
    if verdict == "no verdict":
        return reason
    troubles = [f"{each.fault}: {each.problem}" for each in report.incidents if each.problem is not None]
    if troubles:
        return "a fault could not be injected as it should: " + "; ".join(troubles)
    unseen = set(_captured(operations)) - set(_stored(operations))
    return f"the database was not asked about {counted(len(unseen), 'payment')}" if unseen else None


def _count(operations: Sequence[Operation]) -> Judgement:
    told, stored = _captured(operations), _stored(operations)
    lost = sum(bool(keys - set(stored[payment])) for payment, keys in told.items() if payment in stored)
    doubled = {payment for payment, keys in told.items() if len(keys) > 1}
    doubled |= {payment for payment, keys in stored.items() if sum(keys.values()) > 1}
    return Judgement(
        verdict="holds",
        operations=len(operations),
        acknowledged=len(told),
        lost=lost,
        doubled=len(doubled),
    )


def _captured(operations: Sequence[Operation]) -> Mapping[str, set[str]]:
    """The keys under which a client was told that a payment is captured, by payment."""
    told: dict[str, set[str]] = defaultdict(set)
    for operation in operations:
        answer: Any = operation.response or {}
        if operation.f == "capture" and answer.get("outcome") == "captured":
            value: Any = operation.value
            told[value["payment"]].add(value["key"])
    return told


def _stored(operations: Sequence[Operation]) -> Mapping[str, Counter[str]]:
    """The keys of the successful captures that the database holds, for each payment that was looked at."""
    stored: dict[str, Counter[str]] = {}
    for operation in operations:
        value: Any = operation.value
        if operation.f != "attempts" or value.get("from") != DIRECTLY["from"] or operation.response is None:
            continue
        answer: Any = operation.response
        captured = [each["key"] for each in answer.get("attempts", ()) if each["outcome"] == "captured"]
        stored[value["payment"]] = Counter(captured)
    return stored
