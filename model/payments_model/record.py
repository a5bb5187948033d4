"""All that is stored about one payment id, and how a command with a key changes it.

The unbounded part, the map from keys to attempts, stays out of the rules and lives here: a key only
selects which stored attempt a capture sees.
"""

from dataclasses import dataclass, field, replace

from payments_model.capture import coherent_attempt
from payments_model.commands import Capture, Command, step
from payments_model.outcome import Attempt, Outcome, Step
from payments_model.payment import MAX_STORED_REFUSALS, Captured, Payment, coherent


@dataclass(frozen=True)
class Record:
    """Everything stored about one payment id.

    Attributes:
        payment: the payment, ``None`` before it is created.
        attempts: what is stored under each key, as (key, attempt) pairs; a key occurs once (I3).
        max_refusals: how many refused captures may be stored; ``None`` for a service that has no such bound.
    """

    payment: Payment | None = None
    attempts: frozenset[tuple[str, Attempt]] = field(default_factory=frozenset)
    max_refusals: int | None = MAX_STORED_REFUSALS

    @property
    def refusals_left(self) -> int:
        """How many more refused captures may be stored: none if it is 0 or less."""
        if self.max_refusals is None:
            return 1
        refused = sum(attempt.outcome is not Outcome.CAPTURED for _, attempt in self.attempts)
        return self.max_refusals - refused

    def attempt(self, key: str) -> Attempt | None:
        """What is stored under ``key``."""
        return next((attempt for stored, attempt in self.attempts if stored == key), None)


def apply(record: Record, command: Command, now: int, key: str | None = None) -> tuple[Record, Step]:
    """Apply ``command`` at ``now`` (µs).

    Args:
        record: what is stored about the payment's id.
        command: what is asked.
        now: the database's time at the decision, in µs.
        key: the idempotency key; a capture has one, other commands do not.

    Returns:
        What is stored afterwards, and the step with its answer.

    Raises:
        ValueError: if a capture has no key, or another command has one.
    """
    if isinstance(command, Capture) != (key is not None):
        raise ValueError(f"a capture has a key and no other command does: {command}, key {key!r}")
    recorded = None if key is None else record.attempt(key)
    done = step(record.payment, recorded, command, now, record.refusals_left)
    attempts = record.attempts
    if key is not None and recorded is None and done.attempt is not None:
        attempts = attempts.union([(key, done.attempt)])
    return replace(record, payment=done.payment, attempts=attempts), done


def violations(record: Record) -> list[str]:
    """The invariants that this record breaks, each as ``"I1: why"``; none when it is sound."""
    found = []
    if record.payment is not None and not coherent(record.payment):
        found.append("I6: the payment's values are not possible together")
    successes = [attempt for _, attempt in record.attempts if attempt.outcome is Outcome.CAPTURED]
    if len(successes) > 1:
        found.append("I1: more than one capture succeeded")
    if isinstance(record.payment, Captured) != (len(successes) == 1):
        found.append("I6: captured without exactly one successful attempt, or the reverse")
    if len({key for key, _ in record.attempts}) != len(record.attempts):
        found.append("I3: two attempts are stored under one key")
    if not all(coherent_attempt(record.payment, attempt) for _, attempt in record.attempts):
        found.append("I6: an attempt is stored that cannot be")
    return found
