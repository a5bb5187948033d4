"""Errors as problem documents."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel


class Kind(NamedTuple):
    """A kind of problem: its status, title, and what it says to a client."""

    status: int
    title: str
    detail: str


KINDS = {
    "malformed_json": Kind(400, "The body is not JSON", "the body is not JSON"),
    "invalid_request": Kind(422, "The request's content is not valid", ""),
    "invalid_payment_id": Kind(400, "The payment id is not a UUID", "a payment id is a UUID"),
    "idempotency_key_missing": Kind(
        400, "The Idempotency-Key header is missing", "send an Idempotency-Key header"
    ),
    "idempotency_key_malformed": Kind(
        400, "The Idempotency-Key header is malformed", "a key has 1 to 255 visible characters"
    ),
    "idempotency_key_reused": Kind(
        422,
        "The idempotency key belongs to another request",
        "this key was used for a capture of another amount; use a new key",
    ),
    "payment_not_found": Kind(404, "There is no such payment", "no payment has this id"),
    "payment_id_conflict": Kind(409, "The payment id is taken", "a payment of another amount has this id"),
    "not_authorized": Kind(409, "The payment is not authorized", "authorize the payment before capturing it"),
    "already_authorized": Kind(409, "The payment is authorized already", ""),
    "already_captured": Kind(409, "The payment is captured already", "a payment is captured at most once"),
    "payment_failed": Kind(409, "The payment has failed", "a failed payment cannot be captured"),
    "capture_window_expired": Kind(
        409, "The capture window has ended", "the capture came at or after the end of the window"
    ),
    "amount_mismatch": Kind(
        422, "The amount is not the authorized amount", "a capture takes exactly the authorized amount"
    ),
}


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    payment_id: str | None = None
    decided_at: str | None = None


class ProblemError(Exception):
    """A request that ends with a problem."""

    def __init__(self, name: str, detail: str | None = None) -> None:
        super().__init__(name)
        self.status = KINDS[name].status
        self.body = document(name, detail=detail)


def document(
    name: str, payment_id: str | None = None, decided_at: str | None = None, detail: str | None = None
) -> bytes:
    """The problem document, as JSON."""
    kind = KINDS[name]
    problem = Problem(
        type=f"/problems/{name}",
        title=kind.title,
        status=kind.status,
        detail=detail or kind.detail,
        payment_id=payment_id,
        decided_at=decided_at,
    )
    return problem.model_dump_json(exclude_none=True).encode()
