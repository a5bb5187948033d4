"""The answers that the model calls for, in a service's own HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from payments_verify.binding.sections import Binding, Presence, Values
from payments_verify.binding.values import MICROSECONDS, as_datetime, write_amount
from payments_verify.binding.views import AttemptsView
from payments_verify.payments.observed.observations import OUTCOME_NAMES, PAYMENT_FIELDS


def expected_answer(binding: Binding, f: str, answer: Mapping[str, Any]) -> str:
    """The status and what the body says, for what the model answers to a command; empty if it is no answer.

    Args:
        binding: the service's interface.
        f: the command.
        answer: what the model answers, as `observations` has it; the fields that it lacks are left out.
    """
    command = binding.commands.get(f)
    if command is None:
        return ""
    fitting = (
        each for each in (*command.answers, *binding.answers) if answer.get("outcome") in each.outcomes
    )
    chosen = next(fitting, None)
    if chosen is None:
        outcome = answer.get("outcome")
        return f"{outcome}, for which the binding has no answer" if outcome in OUTCOME_NAMES else ""
    body: dict[str, Any] = {}
    said = [(path, value) for path, value in chosen.where.items() if not isinstance(value, Presence)]
    for path, value in [*said, *_fields(binding, f, answer)]:
        _put(body, path, value)
    shown = f"{chosen.status} {msgspec.json.encode(_with_lists(body)).decode() if body else ''}".rstrip()
    for path, value in chosen.where.items():
        if isinstance(value, Presence):
            shown += f", {'with' if value.exists else 'without'} {path}"
    return shown + _repeated(binding, f, answer)


def _fields(binding: Binding, f: str, answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if f == "capture":
        if "decided_at" in answer and not answer.get("replayed") and binding.capture.decided_at:
            yield binding.capture.decided_at[0], _instant(answer["decided_at"], binding.values)
        return
    if "attempts" in answer and binding.attempts is not None:
        yield binding.attempts.items, [_attempt(binding.attempts, each) for each in answer["attempts"]]
    for name in PAYMENT_FIELDS:
        path = getattr(binding.payment, name)
        if path is not None and name in answer.get("payment", {}):
            yield path, _field(binding, name, answer["payment"][name])
    if binding.payment.as_of is not None and "as_of" in answer and "payment" in answer:
        yield binding.payment.as_of, _instant(answer["as_of"], binding.values)


def _attempt(view: AttemptsView, stored: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    _put(shown, view.key, stored["key"])
    if isinstance(view.outcome, str) and "outcome" in stored:
        theirs = (word for word, ours in view.outcomes.items() if ours == stored["outcome"])
        _put(shown, view.outcome, next(theirs, stored["outcome"]))
    return shown


def _field(binding: Binding, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if name.endswith("_at"):
        return _instant(value, binding.values)
    if name in ("state", "reason"):
        theirs = binding.payment.states if name == "state" else binding.payment.reasons
        return next((word for word, ours in theirs.items() if ours == value), value)
    return write_amount(value, binding.values)


def _repeated(binding: Binding, f: str, answer: Mapping[str, Any]) -> str:
    """What has to be said of a capture's answer beside its status and members."""
    flag, repeats = binding.capture.replayed, answer.get("replayed")
    if f != "capture" or not (repeats or (repeats is not None and answer.get("outcome") == "captured")):
        return ""
    said = ""
    if flag is not None:
        name = (
            f"the header {flag.header}: {flag.text}"
            if flag.header
            else f"{flag.member}: {json.dumps(flag.value)}"
        )
        said = f", {'with' if repeats else 'without'} {name}"
    return said + (
        ", the bytes of its first answer" if repeats and binding.capture.body == "same bytes" else ""
    )


def _instant(us: int, values: Values) -> str | int | float:
    if values.instant == "rfc3339":
        return as_datetime(us).isoformat().replace("+00:00", "Z")
    unit = MICROSECONDS[values.instant.removeprefix("unix ")]
    return us / unit if us % unit else us // unit


def _put(document: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    *above, name = path.split(".")
    for each in above:
        document = document.setdefault(each, {})
    document[name] = value


def _with_lists(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same with lists where paths have numbers."""
    match value:
        case dict() if value and all(name.isdecimal() for name in value):
            return [_with_lists(value[name]) for name in sorted(value, key=int)]
        case dict():
            return {name: _with_lists(each) for name, each in value.items()}
        case list():
            return [_with_lists(each) for each in value]
    return value
