"""The sections of a binding file that say where answers show what."""

from __future__ import annotations

from typing import Literal

import msgspec

from payments_verify.payments.observed.observations import FIELDS_OF_STATE, REASONS

Scalar = str | int | bool | float


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PaymentView(_Section, frozen=True, kw_only=True):
    """Where an answer that shows a payment has what: paths of names with dots between."""

    state: str
    states: dict[str, str] = msgspec.field(default_factory=lambda: {name: name for name in FIELDS_OF_STATE})
    amount: str | None = None
    authorized_at: str | None = None
    capture_expires_at: str | None = None
    captured_at: str | None = None
    captured_amount: str | None = None
    failed_at: str | None = None
    reason: str | None = None
    reasons: dict[str, str] = msgspec.field(default_factory=lambda: {name: name for name in REASONS})
    as_of: str | None = None
    only_in_their_states: bool = False


class Flag(_Section, frozen=True, kw_only=True):
    """Where an answer says that it is a repeated one: a header, or a member of the body; and in which word.

    It is true if nothing is said.
    """

    header: str | None = None
    member: str | None = None
    value: Scalar = True

    @property
    def text(self) -> str:
        """The value as a header has it."""
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


class CaptureView(_Section, frozen=True, kw_only=True):
    """What a capture's answer says beside its outcome."""

    replayed: Flag | None = None
    decided_at: list[str] = []
    refusals_are_dated: bool = True
    body: Literal["same bytes", "not compared"] = "same bytes"


class AttemptsView(_Section, frozen=True, kw_only=True):
    """Where a list of stored attempts has what.

    A list in pages has the place of the next at ``next``; it is empty or null at the end. The last page may
    have no attempts.
    """

    items: str
    next: str | None = None
    next_request: str | None = None
    key: str
    amount: str | None = None
    outcome: str | list[str] | None = None
    outcomes: dict[str, str] = {}
    decided_at: str | None = None
