"""The documents of the examples: one payment on its way, made by the very code that answers requests."""

from uuid import UUID

from payments_core.application.dto import AttemptPage, Cursor, PaymentPage, PaymentSnapshot
from payments_core.domain.capture import CaptureAttempt, CaptureOutcome, decide_capture
from payments_core.domain.payment import FailureReason, Payment
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.http import views
from payments_core.entrypoints.http.documents import PAYMENT_ID

_NOON = 1_767_268_800_000_001  # 2026-01-01T12:00:00.000001Z
_KEY = IdempotencyKey("order-17-capture")

_pending = Payment(UUID(PAYMENT_ID), 1000, _NOON)
_authorized = _pending.authorize(CaptureWindow(600 * SECOND), _NOON + SECOND)
_decision = decide_capture(_authorized, _KEY, Amount(1000), _NOON + 2 * SECOND)

PENDING = views.payment(PaymentSnapshot(_pending, _NOON))
AUTHORIZED = views.payment(PaymentSnapshot(_authorized, _NOON + SECOND))
CAPTURED = views.payment(PaymentSnapshot(_decision.payment, _NOON + 3 * SECOND))
FAILED = views.payment(
    PaymentSnapshot(_authorized.fail(FailureReason.VOIDED, _NOON + 2 * SECOND), _NOON + 2 * SECOND)
)
CAPTURE = views.capture_answer(_decision).body
PAGE = views.page(
    PaymentPage((_decision.payment,), _NOON + 3 * SECOND, Cursor(_NOON, _decision.payment.payment_id))
)
_attempt = CaptureAttempt(
    _pending.payment_id,
    _KEY.text,
    1000,
    CaptureOutcome.CAPTURED,
    _decision.decided_at,
    views.capture_answer(_decision),
)
ATTEMPTS = views.attempts(AttemptPage((_attempt,), next=3))
