"""Entities as documents. Instants are RFC 3339 in UTC with six digits, so that not a microsecond is lost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payments_core.application.dto import AttemptPage, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import Answer, CaptureDecision, CaptureOutcome
from payments_core.domain.payment import Payment
from payments_core.domain.values import Instant
from payments_core.entrypoints.http import documents, problems
from payments_core.entrypoints.http.parsing import encode_cursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

REFUSAL_DETAIL = {
    CaptureOutcome.NOT_AUTHORIZED: "authorize the payment before capturing it",
    CaptureOutcome.ALREADY_CAPTURED: "a payment is captured at most once",
    CaptureOutcome.PAYMENT_FAILED: "a failed payment cannot be captured",
    CaptureOutcome.CAPTURE_WINDOW_EXPIRED: "the capture came at or after the end of the window",
    CaptureOutcome.AMOUNT_MISMATCH: "a capture takes exactly the authorized amount",
}


def rfc3339(instant: Instant) -> str:
    """An instant (µs since the epoch) as RFC 3339 text."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds")[:-6] + "Z"


def payment(snapshot: PaymentSnapshot) -> documents.Payment:
    """A payment and when it was looked at."""
    return documents.Payment(**_fields(snapshot.payment), as_of=rfc3339(snapshot.as_of))


def page(found: PaymentPage) -> documents.PaymentPage:
    """A page of payments; ``next`` is the ``after`` of the next one."""
    return documents.PaymentPage(
        payments=[documents.ListedPayment(**_fields(each)) for each in found.payments],
        as_of=rfc3339(found.as_of),
        next=None if found.next is None else encode_cursor(found.next),
    )


def attempts(found: AttemptPage) -> documents.CaptureAttempts:
    """A page of a payment's stored capture attempts; ``next`` is the ``after`` of the next one."""
    return documents.CaptureAttempts(
        captures=[
            documents.CaptureAttempt(
                idempotency_key=attempt.key,
                amount_cents=attempt.amount_cents,
                outcome=attempt.outcome,
                status=attempt.answer.status,
                decided_at=rfc3339(attempt.decided_at),
            )
            for attempt in found.attempts
        ],
        next=None if found.next is None else str(found.next),
    )


def capture_answer(decision: CaptureDecision) -> Answer:
    """The answer to a decided capture: written once, stored, and given to every retry."""
    payment_id = str(decision.payment.payment_id)
    decided_at = rfc3339(decision.decided_at)
    if decision.outcome is CaptureOutcome.CAPTURED:
        capture = documents.Capture(payment_id, "captured", decision.amount_cents, decided_at)
        return Answer(201, msgspec.json.encode(capture))
    problem = problems.OF_OUTCOME[decision.outcome]
    body = problems.document(
        problem, REFUSAL_DETAIL[decision.outcome], payment_id=payment_id, decided_at=decided_at
    )
    return Answer(problem.status, body)


def _fields(entity: Payment) -> dict[str, Any]:
    return {
        "id": str(entity.payment_id),
        "state": entity.state,
        "amount_cents": entity.amount_cents,
        "created_at": rfc3339(entity.created_at),
        "authorized_at": _optional(entity.authorized_at),
        "capture_expires_at": _optional(entity.capture_expires_at),
        "captured_at": _optional(entity.captured_at),
        "captured_amount_cents": entity.captured_amount_cents,
        "failed_at": _optional(entity.failed_at),
        "failure_reason": entity.failure_reason,
    }


def _optional(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)
