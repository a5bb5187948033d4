"""The model as an oracle: what a service must answer to a command, when everything is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from payments_model import (
    MAX_WINDOW,
    RECORDED,
    Authorize,
    Capture,
    Command,
    Create,
    Fail,
    FailureReason,
    Outcome,
    Pending,
    Read,
    Record,
    Step,
    apply,
)
from payments_verify.payments.observed.http_steps import HttpRun
from payments_verify.payments.observed.observations import (
    SUCCESSES,
    Invocation,
    attempts_of,
    outcomes_in,
    view_of,
)
from pgweave.history.operations import Operation


class MismatchError(AssertionError):
    """A system answered otherwise than the model.

    Attributes:
        operations: what was asked and answered up to there, one after the other; empty where that is not
            known, or is not what went wrong.
        commands: what was asked up to there, for people; empty where that is told by something else.
        breaks: the invariants that the answer breaks, as far as it shows it.
        http: what was asked up to there, as HTTP, where that was kept.
    """

    def __init__(
        self,
        message: str,
        operations: Sequence[Operation] = (),
        commands: Sequence[str] = (),
        breaks: frozenset[str] = frozenset(),
        http: HttpRun | None = None,
    ) -> None:
        self.operations = operations
        self.commands = tuple(commands)
        self.breaks = breaks
        self.http = http or HttpRun()
        super().__init__(message)


_REASONS = {reason.name.lower(): reason for reason in FailureReason}


def command_of(f: str, value: Mapping[str, Any]) -> Command:
    """The model's command for an invocation.

    Raises:
        KeyError: if the command is not known or an argument is missing.
    """
    match f:
        case "create":
            return Create(value["amount"])
        case "authorize":
            return Authorize(value["window"])
        case "capture":
            return Capture(value["amount"])
        case "fail":
            return Fail(_REASONS[value["reason"]])
        case "read" | "attempts":
            return Read()
        case _:
            raise KeyError(f)


def decide(
    record: Record, f: str, value: Mapping[str, Any], now: int, key: str | None = None
) -> tuple[Record, Step]:
    """What is stored after a command at ``now`` (µs), and the model's answer.

    A service that fails payments which are not authorized yet, or authorizes what it creates, does two of the
    model's commands at once.
    """
    if value.get("from_pending") and isinstance(record.payment, Pending):
        record, _ = apply(record, Authorize(MAX_WINDOW), now)
    after, done = apply(record, command_of(f, value), now, key)
    if f == "create" and "window" in value and done.outcome is Outcome.CREATED:
        after, _ = apply(after, Authorize(value["window"]), now)
    return after, done


def answer(record: Record, invocation: Invocation, now: int) -> tuple[Record, dict[str, Any]]:
    """What is stored after a command at ``now`` (µs), and everything that its answer must say.

    The bytes of a capture's answer are the service's own; that they are repeated is for the caller to check.
    """
    key = invocation.value.get("key")
    after, done = decide(record, invocation.f, invocation.value, now, key)
    expected: dict[str, Any] = {"outcome": done.outcome.name.lower()}
    if invocation.f == "capture":
        expected["replayed"] = done.replayed
        if done.attempt is not None and done.outcome in RECORDED:
            expected["decided_at"] = done.attempt.decided_at
    elif done.outcome in SUCCESSES and after.payment is not None:
        if invocation.f == "attempts":
            expected["attempts"] = attempts_of(after)
        else:
            expected |= {"payment": view_of(after.payment), "as_of": now}
    return after, expected


def sorted_attempts(seen: Mapping[str, Any]) -> list[Any] | None:
    """The attempts that an answer shows, by key, as the model has them; ``None`` if it shows none."""
    shown = seen.get("attempts")
    return None if shown is None else sorted(shown, key=lambda attempt: attempt["key"])


def difference(expected: Mapping[str, Any], seen: Mapping[str, Any]) -> str | None:
    """How an answer differs from what the model expects; ``None`` if it does not."""
    seen = {**seen, "attempts": sorted_attempts(seen)}
    wrong = [
        f"{name}: expected {value!r}, got {seen.get(name)!r}"
        for name, value in expected.items()
        if (value not in outcomes_in(seen) if name == "outcome" else seen.get(name) != value)
    ]
    return "; ".join(wrong) or None
