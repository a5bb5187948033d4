"""What may be behind a wrong answer: what the binding has to say, or a key that the service leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payments_model import Expire, Failed, Outcome, Record, apply
from payments_verify.payments.observed.observations import IN_PROGRESS, outcomes_in

_NOTHING_IN_FLIGHT = "\nNo other request with this key was in flight, for which the client could wait."
_BY_ITSELF = (
    "\nThe payment was due, and no sweep was asked for. A service that expires payments by itself says within"
    " how long: sweep.within in its binding. Its windows are then waited for."
)


def hint_at(record: Record, seen: Mapping[str, Any], now: int) -> str:
    """A hint for people; empty if there is none.

    Args:
        record: what the model says of the payment.
        seen: the answer, which is not the model's.
        now: where the clock stands, in µs.
    """
    if IN_PROGRESS in outcomes_in(seen):
        return _NOTHING_IN_FLIGHT
    _, done = apply(record, Expire(), now)
    shown = seen.get("payment", {})
    failed = "payment_failed" in outcomes_in(seen) or shown.get("state") == "failed"
    expired_at = record.payment.failed_at if isinstance(record.payment, Failed) else now
    is_earlier = shown.get("failed_at", expired_at) < expired_at
    return _BY_ITSELF if failed and (done.outcome is Outcome.EXPIRED or is_earlier) else ""
