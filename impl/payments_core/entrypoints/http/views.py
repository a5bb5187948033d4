"""Entities as JSON. Instants are RFC 3339 in UTC with six digits, so that not a microsecond is lost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payments_core.application.dto import PaymentPage, PaymentSnapshot
from payments_core.domain.capture import Answer, CaptureAttempt, CaptureDecision, CaptureOutcome
from payments_core.domain.payment import Payment
from payments_core.domain.values import Instant
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.parsing import encode_cursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_REFUSAL_DETAIL = {
    CaptureOutcome.NOT_AUTHORIZED: "authorize the payment before capturing it",
    CaptureOutcome.ALREADY_CAPTURED: "a payment is captured at most once",
    CaptureOutcome.PAYMENT_FAILED: "a failed payment cannot be captured",
    CaptureOutcome.CAPTURE_WINDOW_EXPIRED: "the capture came at or after the end of the window",
    CaptureOutcome.AMOUNT_MISMATCH: "a capture takes exactly the authorized amount",
}


def rfc3339(instant: Instant | None) -> str | None:
    """An instant (µs since the epoch) as RFC 3339 text; ``None`` stays ``None``."""
    if instant is None:
        return None
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds")[:-6] + "Z"


def payment(snapshot: PaymentSnapshot) -> bytes:
    """A payment and when it was looked at."""
    return msgspec.json.encode(_payment(snapshot.payment) | {"as_of": rfc3339(snapshot.as_of)})


def page(found: PaymentPage) -> bytes:
    """A page of payments; ``next`` is the ``after`` of the next one."""
    return msgspec.json.encode(
        {
            "payments": [_payment(each) for each in found.payments],
            "as_of": rfc3339(found.as_of),
            "next": None if found.next is None else encode_cursor(found.next),
        }
    )


def attempts(found: Sequence[CaptureAttempt]) -> bytes:
    """The stored capture attempts of a payment."""
    return msgspec.json.encode(
        {
            "captures": [
                {
                    "idempotency_key": attempt.key,
                    "amount_cents": attempt.amount_cents,
                    "outcome": attempt.outcome.value,
                    "status": attempt.answer.status,
                    "decided_at": rfc3339(attempt.decided_at),
                }
                for attempt in found
            ]
        }
    )


def capture_answer(decision: CaptureDecision) -> Answer:
    """The answer to a decided capture: written once, stored, and given to every retry."""
    payment_id = str(decision.payment.payment_id)
    decided_at = rfc3339(decision.decided_at)
    if decision.outcome is CaptureOutcome.CAPTURED:
        body = msgspec.json.encode(
            {
                "payment_id": payment_id,
                "outcome": decision.outcome.value,
                "amount_cents": decision.amount_cents,
                "captured_at": decided_at,
            }
        )
        return Answer(201, body)
    problem = problems.OF_OUTCOME[decision.outcome]
    body = problems.document(
        problem, _REFUSAL_DETAIL[decision.outcome], payment_id=payment_id, decided_at=decided_at
    )
    return Answer(problem.status, body)


def _payment(entity: Payment) -> dict[str, Any]:
    return {
        "id": str(entity.payment_id),
        "state": entity.state.value,
        "amount_cents": entity.amount_cents,
        "created_at": rfc3339(entity.created_at),
        "authorized_at": rfc3339(entity.authorized_at),
        "capture_expires_at": rfc3339(entity.capture_expires_at),
        "captured_at": rfc3339(entity.captured_at),
        "captured_amount_cents": entity.captured_amount_cents,
        "failed_at": rfc3339(entity.failed_at),
        "failure_reason": entity.failure_reason and entity.failure_reason.value,
    }
