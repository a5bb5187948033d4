"""The commands without a key: create, authorize, fail, expire and read."""

from icontract import ensure, require

from payments_model.outcome import Outcome, Step
from payments_model.payment import (
    MAX_AMOUNT,
    MAX_WINDOW,
    MIN_AMOUNT,
    Authorized,
    Captured,
    Failed,
    FailureReason,
    Payment,
    Pending,
    coherent,
    legal_move,
    state_of,
    window_open,
)


def refusal_of(payment: Payment) -> Outcome:
    """Why a command that is not for this payment's state is refused."""
    match payment:
        case Pending():
            return Outcome.NOT_AUTHORIZED
        case Authorized():
            return Outcome.ALREADY_AUTHORIZED
        case Captured():
            return Outcome.ALREADY_CAPTURED
        case Failed():
            return Outcome.PAYMENT_FAILED


@require(lambda payment: payment is None or coherent(payment))
@ensure(
    lambda payment, result: payment is None or result.payment == payment,
    "I2: creating again moves nothing",
)
@ensure(
    lambda payment, amount, result: (
        payment is not None
        or result.payment == (Pending(amount) if MIN_AMOUNT <= amount <= MAX_AMOUNT else None)
    ),
    "I2: a payment begins as pending, with the amount asked for",
)
@ensure(
    lambda result: result.payment is None or coherent(result.payment),
    "I6: the payment's values are possible together",
)
@ensure(
    lambda payment, result: (result.outcome is Outcome.CREATED) == (payment != result.payment),
    "I11: only a creation changes anything",
)
def create(payment: Payment | None, amount: int) -> Step:
    """Create a payment of ``amount`` cents under an id that may be taken by ``payment``.

    A retry with the same amount answers ``EXISTS``; another amount under the same id is a conflict.
    """
    if not MIN_AMOUNT <= amount <= MAX_AMOUNT:
        return Step(payment, None, Outcome.MALFORMED)
    if payment is None:
        return Step(Pending(amount), None, Outcome.CREATED)
    return Step(payment, None, Outcome.EXISTS if payment.amount == amount else Outcome.ID_CONFLICT)


@require(lambda payment: payment is None or coherent(payment))
@ensure(
    lambda payment, result: payment is None or legal_move(state_of(payment), state_of(result.payment)),
    "I2: only legal moves happen",
)
@ensure(
    lambda payment, window, result: (
        (result.outcome is Outcome.AUTHORIZED) == (isinstance(payment, Pending) and 1 <= window <= MAX_WINDOW)
    ),
    "I2: exactly a pending payment can be authorized",
)
@ensure(
    lambda payment, window, now, result: (
        result.outcome is not Outcome.AUTHORIZED
        or result.payment == Authorized(payment.amount, now, now + window)
    ),
    "I5: the capture window begins at the authorization, on the database's clock",
)
@ensure(
    lambda result: result.payment is None or coherent(result.payment),
    "I6: the payment's values are possible together",
)
@ensure(
    lambda payment, result: result.outcome is Outcome.AUTHORIZED or result.payment == payment,
    "I11: a refusal changes nothing",
)
def authorize(payment: Payment | None, window: int, now: int) -> Step:
    """Authorize ``payment`` at ``now`` (µs); it may be captured for ``window`` µs from then."""
    if not 1 <= window <= MAX_WINDOW:
        return Step(payment, None, Outcome.MALFORMED)
    if payment is None:
        return Step(None, None, Outcome.NOT_FOUND)
    if not isinstance(payment, Pending):
        return Step(payment, None, refusal_of(payment))
    return Step(Authorized(payment.amount, now, now + window), None, Outcome.AUTHORIZED)


@require(lambda payment: payment is None or coherent(payment))
@ensure(
    lambda payment, result: payment is None or legal_move(state_of(payment), state_of(result.payment)),
    "I2: only legal moves happen",
)
@ensure(
    lambda payment, reason, result: (
        (result.outcome is Outcome.FAILED)
        == (isinstance(payment, Authorized) and reason is not FailureReason.EXPIRED)
    ),
    "I2: exactly an authorized payment can be declined or voided",
)
@ensure(
    lambda result: result.payment is None or coherent(result.payment),
    "I6: the payment's values are possible together",
)
@ensure(
    lambda payment, result: result.outcome is Outcome.FAILED or result.payment == payment,
    "I11: a refusal changes nothing",
)
def fail(payment: Payment | None, reason: FailureReason, now: int) -> Step:
    """Decline or void ``payment`` at ``now`` (µs). Expiry has a command of its own."""
    if reason is FailureReason.EXPIRED:
        return Step(payment, None, Outcome.MALFORMED)
    if payment is None:
        return Step(None, None, Outcome.NOT_FOUND)
    if not isinstance(payment, Authorized):
        return Step(payment, None, refusal_of(payment))
    return Step(_failed(payment, now, reason), None, Outcome.FAILED)


@require(lambda payment: payment is None or coherent(payment))
@ensure(
    lambda payment, result: payment is None or legal_move(state_of(payment), state_of(result.payment)),
    "I2: only legal moves happen",
)
@ensure(
    lambda payment, now, result: (
        (result.outcome is Outcome.EXPIRED)
        == (isinstance(payment, Authorized) and not window_open(payment, now))
    ),
    "I5: a payment expires exactly when it can no longer be captured",
)
@ensure(
    lambda result: result.payment is None or coherent(result.payment),
    "I6: the payment's values are possible together",
)
@ensure(
    lambda payment, result: result.outcome is Outcome.EXPIRED or result.payment == payment,
    "I11: a refusal changes nothing",
)
def expire(payment: Payment | None, now: int) -> Step:
    """Fail ``payment`` because its capture window has ended by ``now`` (µs). Run by the sweeper."""
    if payment is None:
        return Step(None, None, Outcome.NOT_FOUND)
    if not isinstance(payment, Authorized):
        return Step(payment, None, refusal_of(payment))
    if window_open(payment, now):
        return Step(payment, None, Outcome.WINDOW_OPEN)
    return Step(_failed(payment, now, FailureReason.EXPIRED), None, Outcome.EXPIRED)


def _failed(payment: Authorized, now: int, reason: FailureReason) -> Failed:
    return Failed(payment.amount, payment.authorized_at, payment.capture_expires_at, now, reason)


@require(lambda payment: payment is None or coherent(payment))
@ensure(
    lambda payment, result: (
        result == Step(payment, None, Outcome.NOT_FOUND if payment is None else Outcome.READ)
    ),
    "I8: a read answers the payment as it stands",
)
def read(payment: Payment | None) -> Step:
    """Read ``payment`` as it stands."""
    return Step(payment, None, Outcome.NOT_FOUND if payment is None else Outcome.READ)
