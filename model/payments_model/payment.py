"""A payment: its four shapes, its legal moves, and what makes one coherent.

Each state is a type that has exactly the fields that the state has, so that a pending payment with a
capture date cannot be written down (I6). It also leaves a solver four shapes to consider, where a record
of optional fields would leave it hundreds.

Units: money is an ``int`` of cents; an instant is an ``int`` of µs since the Unix epoch, UTC, always the
database's; a duration is an ``int`` of µs. Integers keep every rule inside linear arithmetic, where a
solver can decide it for all values.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

MIN_AMOUNT = 1
"""The least amount of a payment, in cents."""

MAX_AMOUNT = 999_999_999_999
"""The greatest amount of a payment, in cents."""

MAX_WINDOW = 31 * 24 * 60 * 60 * 1_000_000
"""The longest capture window, in µs (31 days)."""

MAX_STORED_REFUSALS = 1_000
"""How many refused captures of one payment are stored, each under its key."""


class State(Enum):
    """Where a payment stands. ``CAPTURED`` and ``FAILED`` are terminal."""

    PENDING = auto()
    AUTHORIZED = auto()
    CAPTURED = auto()
    FAILED = auto()


class FailureReason(Enum):
    """Why a payment failed: the issuer declined, the merchant voided, or the capture window closed."""

    DECLINED = auto()
    VOIDED = auto()
    EXPIRED = auto()


@dataclass(frozen=True)
class Pending:
    """Created, not yet authorized.

    Attributes:
        amount: what may be captured once authorized, in cents; all of it or nothing.
    """

    amount: int


@dataclass(frozen=True)
class Authorized:
    """Authorized: it may be captured until its window ends.

    Attributes:
        amount: what may be captured, in cents; all of it or nothing.
        authorized_at: the instant of the authorization, in µs.
        capture_expires_at: the first instant at which a capture is too late, in µs.
    """

    amount: int
    authorized_at: int
    capture_expires_at: int


@dataclass(frozen=True)
class Captured:
    """Captured, once and for all.

    Attributes:
        amount: what was authorized, in cents.
        authorized_at: the instant of the authorization, in µs.
        capture_expires_at: the first instant at which a capture would have been too late, in µs.
        captured_at: the instant at which the capture was decided, in µs.
        captured_amount: what was captured, in cents.
    """

    amount: int
    authorized_at: int
    capture_expires_at: int
    captured_at: int
    captured_amount: int


@dataclass(frozen=True)
class Failed:
    """Failed, once and for all.

    Attributes:
        amount: what was authorized, in cents.
        authorized_at: the instant of the authorization, in µs.
        capture_expires_at: the first instant at which a capture would have been too late, in µs.
        failed_at: the instant at which the failure was decided, in µs.
        reason: why.
    """

    amount: int
    authorized_at: int
    capture_expires_at: int
    failed_at: int
    reason: FailureReason


Payment: TypeAlias = Pending | Authorized | Captured | Failed

LEGAL_MOVES = (
    (State.PENDING, State.AUTHORIZED),
    (State.AUTHORIZED, State.CAPTURED),
    (State.AUTHORIZED, State.FAILED),
)
"""Every move a payment may make (I2)."""

TERMINAL = (State.CAPTURED, State.FAILED)
"""The states that nothing leaves (I2)."""


def state_of(payment: Payment) -> State:
    """The state of a payment: the name of its shape."""
    match payment:
        case Pending():
            return State.PENDING
        case Authorized():
            return State.AUTHORIZED
        case Captured():
            return State.CAPTURED
        case Failed():
            return State.FAILED


def legal_move(before: State, after: State) -> bool:
    """Whether a payment may go from ``before`` to ``after`` in one step, staying included (I2)."""
    return before is after or (before, after) in LEGAL_MOVES


def window_open(payment: Authorized | Captured | Failed, instant: int) -> bool:
    """Whether ``instant`` (µs) lies strictly before the end of the capture window (I5)."""
    return instant < payment.capture_expires_at


def coherent(payment: Payment) -> bool:
    """Whether the values of the fields are possible together (I1, I5, I6).

    Nothing is said of ``captured_at`` against ``authorized_at``: a database clock may step back.
    """
    if not MIN_AMOUNT <= payment.amount <= MAX_AMOUNT:
        return False
    match payment:
        case Pending():
            return True
        case Authorized():
            return _window_possible(payment)
        case Captured():
            return (
                _window_possible(payment)
                and payment.captured_amount == payment.amount
                and window_open(payment, payment.captured_at)
            )
        case Failed():
            return _window_possible(payment) and not (
                payment.reason is FailureReason.EXPIRED and window_open(payment, payment.failed_at)
            )


def _window_possible(payment: Authorized | Captured | Failed) -> bool:
    return 1 <= payment.capture_expires_at - payment.authorized_at <= MAX_WINDOW
