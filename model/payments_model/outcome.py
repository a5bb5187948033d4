"""What a command may answer, and what a capture leaves under its key."""

from dataclasses import dataclass
from enum import Enum, auto

from payments_model.payment import Payment


class Outcome(Enum):
    """The answer to a command. The first group are successes; the others change no payment (I11)."""

    CREATED = auto()
    EXISTS = auto()
    AUTHORIZED = auto()
    CAPTURED = auto()
    FAILED = auto()
    EXPIRED = auto()
    READ = auto()

    MALFORMED = auto()
    NOT_FOUND = auto()
    ID_CONFLICT = auto()
    KEY_REUSED = auto()
    NOT_AUTHORIZED = auto()
    ALREADY_AUTHORIZED = auto()
    ALREADY_CAPTURED = auto()
    PAYMENT_FAILED = auto()
    WINDOW_EXPIRED = auto()
    WINDOW_OPEN = auto()
    AMOUNT_MISMATCH = auto()
    TOO_MANY_REFUSALS = auto()


RECORDED = (
    Outcome.CAPTURED,
    Outcome.NOT_AUTHORIZED,
    Outcome.ALREADY_CAPTURED,
    Outcome.PAYMENT_FAILED,
    Outcome.WINDOW_EXPIRED,
    Outcome.AMOUNT_MISMATCH,
)
"""The capture outcomes that are stored under the key; the others leave nothing behind."""


@dataclass(frozen=True)
class Attempt:
    """What is stored under one (payment, key): the request, its answer, and when it was decided (I3).

    Attributes:
        amount: the amount that the request asked to capture, in cents: the whole of the request's value.
        outcome: the answer, one of ``RECORDED``.
        decided_at: the instant of the decision, in µs.
    """

    amount: int
    outcome: Outcome
    decided_at: int


@dataclass(frozen=True)
class Step:
    """What one command does to one payment and one key.

    Attributes:
        payment: the payment afterwards; ``None`` when there is none.
        attempt: what is now stored under the command's key; ``None`` when nothing is.
        outcome: the answer.
        replayed: whether the answer is the stored one, given again.
    """

    payment: Payment | None
    attempt: Attempt | None
    outcome: Outcome
    replayed: bool = False
