"""Commands and answers as the histories hold them: plain JSON in the model's terms.

An invocation is the name of a command and its arguments::

    create     {"payment": ID, "amount": CENTS}
    authorize  {"payment": ID, "window": µs}
    capture    {"payment": ID, "key": KEY, "amount": CENTS}
    fail       {"payment": ID, "reason": "declined" | "voided"}
    read       {"payment": ID}
    attempts   {"payment": ID}
    sweep      {}
    clock      {"now": µs}      the database's clock is set; it stands still until the next
    clock_back {"by": µs}       the database's clock, which runs, is set back
    lock       {"payment": ID}  somebody outside the service takes the payment's row lock
    unlock     {"payment": ID}  and gives it back

An answer names the model's outcome, and what could be seen with it::

    {"outcome": "captured", "replayed": false, "decided_at": µs, "body": TEXT}
    {"outcome": "read", "payment": {"state": "authorized", ...}, "as_of": µs}

Where a service says the same for several outcomes, ``also`` has the others: ``{"outcome": "already_captured",
"also": ["payment_failed"]}``. What an answer leaves out is not compared.

A service may refuse a capture because another with the same key is in flight: ``in_progress``. The model,
whose commands come one at a time, has no such outcome: nothing was decided, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, Protocol, TypeAlias, get_args

from payments_model import FailureReason, Outcome, Payment, Record, state_of
from pgweave.service.exchange import HttpExchange

ObservedKind: TypeAlias = Literal["ok", "fail", "unknown"]
View: TypeAlias = dict[str, Any]

SUCCESSES = frozenset(
    {
        Outcome.CREATED,
        Outcome.EXISTS,
        Outcome.AUTHORIZED,
        Outcome.CAPTURED,
        Outcome.FAILED,
        Outcome.EXPIRED,
        Outcome.READ,
    }
)
OUTCOME_NAMED = {outcome.name.lower(): outcome for outcome in Outcome}
IN_PROGRESS = "in_progress"
"""The outcome of a capture that is told to ask again, because another request with its key is in flight."""

NOTHING_DONE = "nothing_done"
"""A member of what is known of an unknown outcome: the answer says that the command was not carried out."""

BREAKS_CONTRACT = "breaks_contract"
"""Another member: there was an answer, and it breaks the contract of this repository's service."""

OUTCOME_NAMES = (*OUTCOME_NAMED, IN_PROGRESS)
"""Every outcome that an answer may name."""

FIELDS_OF_STATE: Mapping[str, tuple[str, ...]] = {
    state.__name__.lower(): tuple(each.name for each in fields(state)) for state in get_args(Payment)
}
"""The fields that a payment has in each state."""

PAYMENT_FIELDS = ("state", *dict.fromkeys(name for names in FIELDS_OF_STATE.values() for name in names))
"""What can be shown of a payment."""

WINDOW_FIELDS = frozenset({"authorized_at", "capture_expires_at"})
"""What a payment has since its authorization."""

REASONS = tuple(reason.name.lower() for reason in FailureReason)
"""Why a payment can have failed."""


class UnreadableAnswerError(ValueError):
    """An answer that cannot be read: the service breaks its contract, or the binding has another.

    Attributes:
        exchanges: the HTTP by which it came, where that was kept.
    """

    exchanges: tuple[HttpExchange, ...] = ()


class BrokenContractError(UnreadableAnswerError):
    """An answer that this repository's service never gives, whatever fails around it."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as a client sends it.

    Attributes:
        f: the command's name.
        value: its arguments, see the module.
        quotes_key: whether its key is sent as a quoted string, by a client that has two forms for it.
    """

    f: str
    value: Mapping[str, Any]
    quotes_key: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What the client learned.

    Attributes:
        kind: ``ok`` for a success, ``fail`` for a definite refusal, ``unknown`` for no definite answer.
        value: the answer, see the module; for ``unknown``, what is known of the reason.
        exchanges: the HTTP by which it was learned, where that was kept.
    """

    kind: ObservedKind
    value: Mapping[str, Any]
    exchanges: tuple[HttpExchange, ...] = field(default=(), compare=False, repr=False)


class Sender(Protocol):
    """A client that sends commands to a service."""

    async def send(self, invocation: Invocation, /) -> Observation:
        """Send a command once."""


def answered(outcome: Outcome, **seen: Any) -> Observation:  # noqa: ANN401 - any JSON value
    """A definite answer with this outcome."""
    return answered_as(outcome.name.lower(), **seen)


def answered_as(outcome: str, **seen: Any) -> Observation:  # noqa: ANN401 - any JSON value
    """A definite answer with the outcome of this name."""
    return Observation("ok" if is_success(outcome) else "fail", {"outcome": outcome, **seen})


def is_success(outcome: str) -> bool:
    """Whether an outcome of this name is a success; ``in_progress`` is none."""
    return OUTCOME_NAMED.get(outcome) in SUCCESSES


def view_of(payment: Payment) -> View:
    """A payment of the model as an answer shows it: its state and the fields that the state has."""
    shown: View = {"state": state_of(payment).name.lower()}
    for each in fields(payment):
        value = getattr(payment, each.name)
        shown[each.name] = value.name.lower() if isinstance(value, Enum) else value
    return shown


def attempts_of(record: Record) -> list[View]:
    """The stored attempts of a record as an answer shows them, by key."""
    return [
        {
            "key": key,
            "amount": attempt.amount,
            "outcome": attempt.outcome.name.lower(),
            "decided_at": attempt.decided_at,
        }
        for key, attempt in sorted(record.attempts, key=lambda pair: pair[0])
    ]


def outcomes_in(answer: Mapping[str, Any]) -> frozenset[str]:
    """The names of the outcomes that an answer may stand for; none if it has no outcome."""
    named = answer.get("outcome")
    return frozenset() if named is None else frozenset([named, *answer.get("also", ())])
