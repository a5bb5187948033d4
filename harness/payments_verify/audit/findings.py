"""What an audit found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from pgweave.verdict import Verdict

REPORT_FORMAT = "payments-verify-audit"
REPORT_VERSION = 1


class AuditError(RuntimeError):
    """There is no verdict; the message says why, and what to do."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something stored that breaks a rule.

    Attributes:
        rule: the invariant, as ``I5``.
        payment: the payment's id.
        what: the part of what is stored, as ``event 3`` or ``payments.state``.
        expected: what should be there, by the model and by the rest of what is stored.
        found: what is there.
    """

    rule: str
    payment: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}  {self.told}"

    @property
    def told(self) -> str:
        """What is wrong, without the rule."""
        return f"payment {self.payment}, {self.what}: expected {self.expected}, found {self.found}"


def finding(rule: str, payment_id: bytes, what: str, expected: object, found: object) -> Finding:
    """A finding; values are shown as they are stored."""
    return Finding(
        rule=rule,
        payment=str(UUID(bytes=payment_id)),
        what=what,
        expected=shown(expected),
        found=shown(found),
    )


def shown(value: object) -> str:
    """A value as it is stored."""
    if value is None:
        return "nothing"
    return value.hex() if isinstance(value, bytes) else str(value)


class Counts(msgspec.Struct, kw_only=True):
    """How much was looked at.

    Attributes:
        payments: payments.
        attempts: attempts.
        events: events.
        reconstructed: those of the events that a migration made from rows.
        clock_back: events that were decided earlier than the one before. The database's clock may step
            back, and does no harm; it would also look so if a decision had been made by a clock that was
            read before the lock was granted.
        rules: how many findings there are by rule.
    """

    payments: int = 0
    attempts: int = 0
    events: int = 0
    reconstructed: int = 0
    clock_back: int = 0
    rules: dict[str, int] = {}

    def add(self, other: Counts) -> None:
        """Add the counts of another."""
        self.payments += other.payments
        self.attempts += other.attempts
        self.events += other.events
        self.reconstructed += other.reconstructed
        self.clock_back += other.clock_back
        self.rules = dict(Counter(self.rules) + Counter(other.rules))


@dataclass
class AuditReport:
    """What an audit found.

    Attributes:
        database: where, without a password.
        as_of: the database's clock at the snapshot, as text.
        counts: how much was looked at.
        findings: the first findings, by payment; at most as many as were asked for.
        seconds: how long it took.
        peak_mib: the most memory that one worker used, in MiB.
    """

    database: str
    as_of: str
    counts: Counts = field(default_factory=Counts)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def found(self) -> int:
        """How many findings there are in all."""
        return sum(self.counts.rules.values())

    @property
    def verdict(self) -> Verdict:
        """Whether every past is a behaviour of the model, and the rows agree with it."""
        return "violated" if self.found else "holds"

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        counts = msgspec.to_builtins(self.counts)
        return {
            "format": REPORT_FORMAT,
            "version": REPORT_VERSION,
            "verdict": self.verdict,
            "database": self.database,
            "as_of": self.as_of,
            **counts,
            "findings": msgspec.to_builtins(self.findings),
            "seconds": round(self.seconds, 3),
            "peak_mib": round(self.peak_mib, 1),
        }
