"""The words by which an OpenAPI document is understood: what operations, members and codes are called."""

from __future__ import annotations

import re

COMMANDS = {
    "capture": r"captur|settle|complete",
    "authorize": r"(?<!re)authori[sz]|confirm|hold",
    "fail": r"fail|cancel|void|declin",
}
UPDATES = r"update|edit|replace|modif"
"""What is no creation, though it is a PUT."""
SUCCESS = {"create": "created", "authorize": "authorized", "capture": "captured", "fail": "failed"}
OUTCOMES = {
    "in_progress": r"in.?progress|still.?running|concurrent",
    "key_reused": r"(key|idempoten|token).*(reus|used|mismatch|conflict|differ|another)|key_reused",
    "too_many_refusals": r"too_many_refusals",
    "id_conflict": r"id_conflict|id_taken",
    "already_authorized": r"already_authori[sz]ed|is_authori[sz]ed|is_held",
    "already_captured": r"already_captured|is_captured|is_paid|already_paid",
    "not_authorized": r"not_authori[sz]ed|is_new|is_pending|not_confirmed",
    "window_expired": r"expired|too_late",
    "window_open": r"window_open",
    "payment_failed": r"payment_failed|is_failed|cancell?ed|voided|is_failed",
    "amount_mismatch": r"amount.*(mismatch|differ|wrong|large)|(wrong|another)_(amount|total)",
    "not_found": r"not_found|no_such",
    "malformed": r"invalid_request|bad_amount|validation",
}
STATES = {
    "pending": r"pending|new|created|requires_confirmation|requires_payment",
    "authorized": r"authori[sz]ed|approved|held|requires_capture",
    "captured": r"captured|paid|succeeded|settled|completed",
    "failed": r"fail|cancel|void|declin|expired",
}
FIELDS = {
    "authorized_at": r"authori[sz]ed_at",
    "capture_expires_at": r"(capture_)?(expires|expiry|valid|capture_before).*(_at|_till|_until|)",
    "captured_at": r"(captured|paid)_at",
    "captured_amount": r"(captured|received|paid).*(amount|cents)|amount_(captured|received|paid)",
    "failed_at": r"(failed|cancell?ed|voided)_at",
    "reason": r".*reason",
    "as_of": r"as_of|read_at",
}
DECIDED_AT = r"(captured|decided)_at"
STATE = r"state|status"
READY = r"/(ready|health|alive|live|ping|status)\w*"
AMOUNT = r"amount.*|total.*|.*cents|value"
MONEY = r".*(amount|money|total|price).*"
"""What an amount lies within that has a currency beside it."""
WINDOW = r".*(window|valid_for|expires_in).*"
KEY = r".*(idempoten|request.?token|request.?key).*"
REPLAYED = r".*(replay|repeat|again).*"
UNKNOWN = "?"
"""What stands where nothing could be guessed; no binding file takes it."""


def outcome_of(word: str) -> str | None:
    """The outcome that a code of a refusal means; ``None`` if that cannot be guessed."""
    return next((outcome for outcome, words in OUTCOMES.items() if re.search(words, word.lower())), None)


def state_of(word: str) -> str:
    """The state of a payment that a service's word means."""
    return next((ours for ours, words in STATES.items() if re.search(words, word.lower())), UNKNOWN)
