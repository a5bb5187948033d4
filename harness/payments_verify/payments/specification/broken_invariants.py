"""Which invariants an answer breaks that is not the model's, as far as it shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from payments_verify.payments.observed.observations import IN_PROGRESS, outcomes_in
from payments_verify.payments.specification.oracle import sorted_attempts

UNANSWERED = frozenset({"I9"})
"""What a request breaks that gets no definite answer, whatever else may be wrong: a 5xx says nothing more."""

_UNREADABLE_VIEW = frozenset({"I2", "I6", "I8"})
UNREADABLE: Mapping[str, frozenset[str]] = {
    "create": frozenset({"I11"}),
    "authorize": _UNREADABLE_VIEW,
    "capture": frozenset({"I3"}),
    "fail": _UNREADABLE_VIEW,
    "read": _UNREADABLE_VIEW,
    "attempts": frozenset({"I3", "I6"}),
}
"""What an answer breaks that no outcome of the command has: by its status, or by fields that do not fit."""

_CAPTURED = {
    "key_reused": {"I4"},
    "window_expired": {"I5"},
    "already_captured": {"I1"},
    "amount_mismatch": {"I1"},
    "malformed": {"I1", "I4", "I11"},
    "not_found": {"I2"},
}
"""What a capture breaks that must be refused so."""

_REFUSED = {
    "window_expired": {"I5"},
    "amount_mismatch": {"I1"},
    "malformed": {"I4", "I11"},
    "too_many_refusals": {"I11"},
}
"""What a refusal breaks where the model has another answer."""

_OF_STATE = {"I2"}
_OF_FIELD = {"amount": {"I1", "I8"}, "captured_amount": {"I1", "I8"}, "state": {"I2", "I8"}, "reason": {"I2"}}
_OF_INSTANT = {"I5", "I8"}


def invariants_broken(f: str, expected: Mapping[str, Any], seen: Mapping[str, Any]) -> frozenset[str]:
    """The invariants that an answer breaks.

    Args:
        f: the command.
        expected: what the model answers.
        seen: what was answered instead.
    """
    if f == "capture":
        return frozenset(_by_a_capture(expected, seen))
    if expected["outcome"] not in outcomes_in(seen):
        return frozenset(_by_another_outcome(f, expected["outcome"], seen))
    return frozenset(_by_what_is_shown(expected, seen))


def _by_a_capture(expected: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[str]:
    model, answered = expected["outcome"], seen.get("outcome")
    was_replayed, should_be = seen.get("replayed", False), expected.get("replayed", False)
    if answered == IN_PROGRESS:
        yield "I9"
    elif model == "key_reused":
        yield "I4"
    elif should_be or was_replayed or answered == "key_reused":
        yield "I3"
    elif model in outcomes_in(seen):
        yield "I3" if seen.get("decided_at") == expected.get("decided_at") else "I5"
    elif answered == "captured":
        yield from _CAPTURED.get(model, _OF_STATE)
    else:
        yield from _REFUSED.get(model, set()) | _REFUSED.get(str(answered), _OF_STATE)


def _by_another_outcome(f: str, model: str, seen: Mapping[str, Any]) -> Iterator[str]:
    if "malformed" in (model, seen.get("outcome")):
        yield from ("I1", "I4", "I11")
    elif f in ("read", "attempts"):
        yield "I8"
    elif f == "create":
        yield from ("I1", "I11")
    else:
        yield "I2"


def _by_what_is_shown(expected: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[str]:
    if expected.get("as_of") != seen.get("as_of"):
        yield from _OF_INSTANT
    if expected.get("attempts") != sorted_attempts(seen):
        yield from ("I3", "I6", "I11")
    model, shown = expected.get("payment", {}), seen.get("payment", {})
    for name in model.keys() | shown.keys():
        if model.get(name) != shown.get(name):
            yield from _OF_INSTANT if name.endswith("_at") else _OF_FIELD.get(name, _OF_STATE)
