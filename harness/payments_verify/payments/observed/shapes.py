"""The types of what a history holds of payments: an amount is a whole number, not `true`, not `1000.0`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from payments_verify.payments.observed.observations import OUTCOME_NAMES, is_success
from pgweave.history.operations import Operation, Outcome
from pgweave.history.spec import not_understood

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_OutcomeName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(OUTCOME_NAMES)})?\\Z")]


class _Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _OfPayment(_Arguments, frozen=True, forbid_unknown_fields=True):
    payment: str


class _Look(_OfPayment, frozen=True, forbid_unknown_fields=True, rename={"looked_at": "from"}):
    looked_at: Literal["service", "database"] = "service"


class _Create(_OfPayment, frozen=True, forbid_unknown_fields=True):
    amount: _Int64
    window: _Int64 = 0


class _Authorize(_OfPayment, frozen=True, forbid_unknown_fields=True):
    window: _Int64


class _Capture(_OfPayment, frozen=True, forbid_unknown_fields=True):
    key: str
    amount: _Int64


class _Fail(_OfPayment, frozen=True, forbid_unknown_fields=True):
    reason: Literal["declined", "voided"]
    from_pending: bool = False


class _Clock(_Arguments, frozen=True, forbid_unknown_fields=True):
    now: _Int64


class _ClockBack(_Arguments, frozen=True, forbid_unknown_fields=True):
    by: _Int64


class _Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    amount: _Int64 = 0
    outcome: _OutcomeName = ""
    decided_at: _Int64 = 0


class _View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: Literal["pending", "authorized", "captured", "failed"]
    amount: _Int64 = 0
    authorized_at: _Int64 = 0
    capture_expires_at: _Int64 = 0
    captured_at: _Int64 = 0
    captured_amount: _Int64 = 0
    failed_at: _Int64 = 0
    reason: Literal["declined", "voided", "expired"] = "declined"


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outcome: _OutcomeName = ""
    also: list[_OutcomeName] = []
    replayed: bool = False
    decided_at: _Int64 = 0
    body: str = ""
    payment: _View | msgspec.UnsetType = msgspec.UNSET
    attempts: list[_Attempt] | msgspec.UnsetType = msgspec.UNSET
    as_of: _Int64 = 0
    contended: bool = False


_ARGUMENTS: Mapping[str, type[_Arguments]] = {
    "create": _Create,
    "authorize": _Authorize,
    "capture": _Capture,
    "fail": _Fail,
    "read": _Look,
    "attempts": _Look,
    "lock": _OfPayment,
    "unlock": _OfPayment,
    "sweep": _Arguments,
    "clock": _Clock,
    "clock_back": _ClockBack,
}
_SHOWN = {"read": "payment", "attempts": "attempts"}
_ANSWERED = frozenset({"create", "authorize", "capture", "fail", *_SHOWN})


def require_types(operation: Operation) -> None:
    """Require that an operation is one of payments, each value of its type.

    Raises:
        SpecError: it is not; says which operation, and which value.
    """
    known = ", ".join(_ARGUMENTS)
    try:
        if operation.f in _ARGUMENTS:
            msgspec.convert(operation.value, _ARGUMENTS[operation.f])
            if operation.outcome is not Outcome.UNKNOWN and operation.f in _ANSWERED:
                _require_answer(operation.f, operation.outcome, operation.response)
            return
    except msgspec.ValidationError as error:
        known += f": {error}"
    raise not_understood("payments", operation, known)


def _require_answer(f: str, outcome: Outcome, answer: Any) -> None:  # noqa: ANN401 - any JSON value
    msgspec.convert(answer, _Answer)
    shown, named = _SHOWN.get(f), answer.get("outcome")
    if shown is not None and shown not in answer and named in (None, "", "read"):
        raise msgspec.ValidationError(f"the answer shows no {shown}")
    if shown is None and not named:
        raise msgspec.ValidationError("the answer names no outcome")
    if named and outcome is Outcome.FAIL and is_success(named):
        raise msgspec.ValidationError(f"{named} is no refusal")
