"""The commands, as values, and ``step``: one command applied to one payment."""

from dataclasses import dataclass
from typing import TypeAlias

from payments_model.capture import capture
from payments_model.lifecycle import authorize, create, expire, fail, read
from payments_model.outcome import Attempt, Step
from payments_model.payment import MAX_STORED_REFUSALS, FailureReason, Payment


@dataclass(frozen=True)
class Create:
    """Create a payment of ``amount`` cents."""

    amount: int


@dataclass(frozen=True)
class Authorize:
    """Authorize the payment, to be captured within ``window`` µs."""

    window: int


@dataclass(frozen=True)
class Capture:
    """Capture ``amount`` cents. The key is not part of the command's value: it selects the stored attempt."""

    amount: int


@dataclass(frozen=True)
class Fail:
    """Decline or void the payment."""

    reason: FailureReason


@dataclass(frozen=True)
class Expire:
    """Fail the payment if its capture window has ended."""


@dataclass(frozen=True)
class Read:
    """Read the payment."""


Command: TypeAlias = Create | Authorize | Capture | Fail | Expire | Read


def step(
    payment: Payment | None,
    recorded: Attempt | None,
    command: Command,
    now: int,
    refusals_left: int = MAX_STORED_REFUSALS,
) -> Step:
    """Apply ``command`` to ``payment`` at ``now`` (µs), where the command's key holds ``recorded``.

    Total: every command has an answer in every state, at every instant. It states no contract of its own:
    it hands the command to the function whose contracts say what holds, and only a capture sees the key.
    """
    match command:
        case Capture(amount):
            return capture(payment, recorded, amount, now, refusals_left)
        case Create(amount):
            done = create(payment, amount)
        case Authorize(window):
            done = authorize(payment, window, now)
        case Fail(reason):
            done = fail(payment, reason, now)
        case Expire():
            done = expire(payment, now)
        case Read():
            done = read(payment)
    return Step(done.payment, recorded, done.outcome)
