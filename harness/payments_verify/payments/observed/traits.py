"""What can be asked of a service, and what can be seen of it: of one of others, less than everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payments_model import MAX_AMOUNT, MAX_STORED_REFUSALS
from payments_verify.payments.observed.observations import PAYMENT_FIELDS, WINDOW_FIELDS, is_success

COMMANDS = frozenset({"create", "authorize", "capture", "fail", "read", "attempts"})
ATTEMPT_FIELDS = frozenset({"key", "amount", "outcome", "decided_at"})
MALFORMED_AMOUNTS: tuple[Any, ...] = (0, -1, MAX_AMOUNT + 1, 2**63, True, 1.5, "1", None)
"""What is no amount."""
_NO_AMOUNT_HERE = (*MALFORMED_AMOUNTS[:-1], 1e3, 500.0, "500", [500], 2**53 + 1, 2**64 + 500, -500, None)
"""The same for this repository's service; where a language has one type of numbers, 1e3 is 1000."""

_SHORT_WINDOW = 60_000_000
_REAL_WINDOW = 3_600_000_000
"""A window that does not end while a check runs, in µs."""


@dataclass(frozen=True)
class Traits:
    """What a service has. What it lacks is neither sent nor compared.

    Attributes:
        commands: the commands that it knows.
        shown: the commands whose success shows the payment.
        payment_fields: what is shown of a payment.
        attempt_fields: what is shown of a stored attempt.
        as_of: whether an answer that shows a payment says when the service looked.
        replayed: whether a capture's answer says that it is a repeated one.
        decided_at: whether a capture's answer says when it was decided.
        dates_refusals: whether that of a refused capture does, too.
        moves_clock: whether the harness moves the service's clock; if not, time is the real one.
        sweeps: whether the harness can run the sweep, and as often as it likes.
        expires_within_s: the longest that the service takes to expire by itself what is due; ``None`` where
            it does not say.
        chooses_ids: whether the client chooses a payment's id.
        finds_unknown: whether a capture of a payment that does not exist is sent.
        reasons: the reasons for which a payment can be failed.
        malformed: what is no amount, and refused as such.
        min_amount: the smallest amount of a payment, in cents.
        max_amount: the largest amount, in cents.
        max_window: the longest capture window, in µs.
        window_unit: what a window is a multiple of, in µs.
        fixed_window: how long each window is, in µs, where no request chooses it; ``None`` where one does.
        max_stored_refusals: how many refused captures of a payment are stored; ``None`` for any number.
        keys: a regular expression of the keys that it takes; ``None`` where they are not sent as they are.
        quotes_keys: whether a key has a second form on the wire, a quoted string.
        has_windows: whether an authorization has a window; if not, it does not end.
        captures_amounts: whether a capture names an amount; if not, it is the authorized one.
        partial_captures: whether a capture of less than was authorized succeeds; then none is sent.
        malformed_after_key: whether a key is looked up before the amount is looked at.
        malformed_uses_key: whether a malformed capture leaves its answer under its key.
        resolution: the shortest time that it tells from none, in µs; its clock is set to multiples of that.
        since: where the instants begin that are tried, in µs; a service may refuse those of the past.
        until: where the instants end that it can hold, in µs; ``None`` if they do not.
        lease: for how long a request that failed may leave its key in progress, in µs.
        keys_of_account: whether a key that one payment has used is another request for all others.
        creates_authorized: whether a creation authorizes, too; then there is no other way to.
        fails_pending: whether a payment can be failed before it is authorized.
        retries_conflicts: whether it promises to try again by itself what the database took back (40001,
            40P01), so that no client hears of one conflict.
        waiting: how many requests may wait for one payment at once; 0 where it does not say.
    """

    commands: frozenset[str] = COMMANDS
    shown: frozenset[str] = COMMANDS - {"capture", "attempts"}
    payment_fields: frozenset[str] = frozenset(PAYMENT_FIELDS)
    attempt_fields: frozenset[str] = ATTEMPT_FIELDS
    as_of: bool = True
    replayed: bool = True
    decided_at: bool = True
    dates_refusals: bool = True
    moves_clock: bool = True
    sweeps: bool = True
    expires_within_s: float | None = None
    chooses_ids: bool = True
    finds_unknown: bool = True
    reasons: tuple[str, ...] = ("declined", "voided")
    malformed: tuple[Any, ...] = _NO_AMOUNT_HERE
    min_amount: int = 1
    max_amount: int = MAX_AMOUNT
    max_window: int = 2_678_400_000_000
    window_unit: int = 1_000_000
    fixed_window: int | None = None
    max_stored_refusals: int | None = MAX_STORED_REFUSALS
    keys: str | None = "[ -~]{1,255}"
    quotes_keys: bool = True
    has_windows: bool = True
    captures_amounts: bool = True
    partial_captures: bool = False
    malformed_after_key: bool = False
    malformed_uses_key: bool = False
    resolution: int = 1
    since: int = 0
    until: int | None = None
    lease: int = 0
    keys_of_account: bool = False
    creates_authorized: bool = False
    fails_pending: bool = False
    retries_conflicts: bool = False
    waiting: int = 0

    @property
    def ends_windows(self) -> bool:
        """Whether the end of a window is reached: by a clock that is moved, or by waiting for a short one."""
        return self.has_windows and (self.moves_clock or self.fixed_window is None)

    @property
    def outlasts_checks(self) -> bool:
        """Whether no window ends by itself while a check runs."""
        return self.moves_clock or self.fixed_window is None or self.fixed_window >= _REAL_WINDOW

    @property
    def dates_authorizations(self) -> bool:
        """Whether it can be seen when a payment was authorized."""
        return bool(self.payment_fields & WINDOW_FIELDS)

    @property
    def reads_instants(self) -> bool:
        """Whether instants in answers bear witness: of a real clock, those that are not cut."""
        return self.dates_authorizations and (self.moves_clock or self.resolution == 1)

    @property
    def looks(self) -> tuple[str, ...]:
        """The commands that show a payment and change nothing."""
        return tuple(f for f in ("read", "attempts") if f in self.commands)

    def window(self, window: int) -> int:
        """The window to ask for instead of this one, in µs: allowed, and none that ends by itself.

        Where no request chooses one, it is what each authorization has.
        """
        if self.fixed_window is not None:
            return self.fixed_window
        return min(window if self.moves_clock else max(window, _REAL_WINDOW), self.max_window)

    def amount(self, amount: int) -> int:
        """The amount to ask for instead of this one, in cents: allowed."""
        return min(max(amount, self.min_amount), self.max_amount)

    def instant(self, now: int) -> int:
        """The instant to set the clock to instead of this one, in µs: none that the service cannot tell."""
        return now - now % self.resolution

    def reason(self, reason: str) -> str:
        """The reason to give instead of this one."""
        return reason if reason in self.reasons else self.reasons[0]

    def asked(self, f: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """What this service is asked where the model has this command; all that is sent goes through here."""
        asked = dict(value)
        if "reason" in asked:
            asked["reason"] = self.reason(asked["reason"])
        if f == "fail" and self.fails_pending:
            asked["from_pending"] = True
        if f == "create" and self.creates_authorized:
            asked.setdefault("window", self.window(_SHORT_WINDOW))
        if f == "authorize":
            asked["window"] = self.window(asked["window"])
        return asked

    def opening(self, payment: str, amount: int, window: int) -> list[tuple[str, dict[str, Any]]]:
        """The commands that create a payment and authorize it, and what each is asked."""
        if self.creates_authorized:
            return [("create", {"payment": payment, "amount": amount, "window": window})]
        return [
            ("create", {"payment": payment, "amount": amount}),
            ("authorize", {"payment": payment, "window": window}),
        ]

    def another_amount(self, amount: int) -> int:
        """An amount that is refused where this one is authorized, or the same if there is none."""
        if amount < self.max_amount:
            return amount + 1
        return amount if self.partial_captures else self.min_amount

    def takes_key(self, key: str) -> bool:
        """Whether the service takes this as a key."""
        return self.keys is None or re.fullmatch(self.keys, key) is not None

    def is_malformed(self, amount: object) -> bool:
        """Whether the service refuses this as no amount; ``True`` is not 1 here."""
        return any(type(each) is type(amount) and each == amount for each in self.malformed)

    def visible(self, f: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The part of an answer that is compared with the model's.

        Instants are compared where the harness moves the clock: only then it knows them.
        """
        seen = dict(answer)
        is_dated = self.decided_at and (self.dates_refusals or is_success(str(seen.get("outcome"))))
        kept = {"replayed": self.replayed, "decided_at": is_dated and self.moves_clock}
        for name in (name for name, wanted in kept.items() if not wanted):
            seen.pop(name, None)
        if f not in self.shown or not (self.as_of and self.moves_clock):
            seen.pop("as_of", None)
        if f not in self.shown:
            seen.pop("payment", None)
        elif "payment" in seen:
            never_authorized = self.fails_pending and seen["payment"]["state"] == "failed"
            hidden = WINDOW_FIELDS if never_authorized else frozenset()
            seen["payment"] = self._compared(seen["payment"], self.payment_fields - hidden)
        if "attempts" in seen:
            seen["attempts"] = [self._compared(each, self.attempt_fields) for each in seen["attempts"]]
        return seen

    def _compared(self, fields: Mapping[str, Any], shown: frozenset[str]) -> dict[str, Any]:
        return {
            name: value
            for name, value in fields.items()
            if name in shown and (self.moves_clock or not name.endswith("_at"))
        }


EVERYTHING = Traits()
"""What this repository's service has, and a service that its HTTP interface was copied from."""
