"""What the protocol speaks of: sorts, records, the state, and who the clients are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import SimpleNamespace

from lab.proof.logic import Map, Record, Term, no

WORDS: Mapping[str, tuple[str, ...]] = {
    "does": (
        "create",
        "authorize",
        "capture",
        "fail",
        "read",
        "sweep",
        "only_lock",
        "void",
        "roll_back",
        "tick",
    ),
    "place": (
        *("create", "look", "begin", "lock", "find", "clock", "update", "insert", "commit"),
        *("rollback", "due", "read", "tick", "done"),
    ),
    "state": ("none", "pending", "authorized", "captured", "failed"),
    "reason": ("none", "voided", "expired"),
    "outcome": (
        *("none", "captured", "not_authorized", "already_captured", "payment_failed"),
        *("window_expired", "amount_mismatch", "already_authorized", "authorized", "failed", "created"),
        *("exists", "id_conflict", "not_found", "key_reused", "read", "done", "internal_error"),
    ),
}
"""Every enumeration, and its values."""

RECORDED = WORDS["outcome"][1:7]
"""The outcomes of a capture that are stored under its key."""


@dataclass(frozen=True)
class Row(Record):
    """A payment. Fields that its state does not have are the least instant, or ``none``."""

    state: Term
    amount: Term
    authorized_at: Term
    expires_at: Term
    ended_at: Term
    reason: Term


@dataclass(frozen=True)
class Attempt(Record):
    """What is stored under a key. ``granted`` is when the lock was granted under which it was decided."""

    outcome: Term
    amount: Term
    decided_at: Term
    granted: Term


@dataclass(frozen=True)
class Answer(Record):
    """What a client was told; of a read also what it showed."""

    outcome: Term
    replayed: Term
    state: Term
    as_of: Term


@dataclass(frozen=True)
class State:
    """The state of the whole: the database's, the sessions', and what clients were told.

    ``kept_*`` is what a standby has: what a failover leaves.
    """

    row: Map
    under: Map
    kept_row: Map
    kept_under: Map
    now: Term
    at: Map
    waits: Map
    holds: Map
    saw: Map
    found: Map
    begun: Map
    clock: Map
    granted: Map
    broken: Map
    wrote_row: Map
    wrote: Map
    answer: Map

    def but(self, **changed: Term) -> State:
        """The same, with some parts changed."""
        return replace(self, **changed)


PARTS: Mapping[str, tuple[tuple[str, ...], type[Record] | str]] = {
    "row": (("payment",), Row),
    "under": (("payment", "key"), Attempt),
    "kept_row": (("payment",), Row),
    "kept_under": (("payment", "key"), Attempt),
    "at": (("client",), "place"),
    "waits": (("client",), "truth"),
    "holds": (("client",), "truth"),
    "saw": (("client",), Row),
    "found": (("client",), Attempt),
    "begun": (("client",), "instant"),
    "clock": (("client",), "instant"),
    "granted": (("client",), "instant"),
    "broken": (("client",), "truth"),
    "wrote_row": (("client",), Row),
    "wrote": (("client",), Attempt),
    "answer": (("client",), Answer),
}
"""Each map of the state: the sorts of its arguments, and its values."""

FIELDS: Mapping[str, str] = {
    "state": "state",
    "amount": "amount",
    "authorized_at": "instant",
    "expires_at": "instant",
    "ended_at": "instant",
    "reason": "reason",
    "outcome": "outcome",
    "decided_at": "instant",
    "granted": "instant",
    "replayed": "truth",
    "as_of": "instant",
}
"""The sort of each field of a record."""

STATIC: Mapping[str, tuple[tuple[str, ...], str]] = {
    "does": (("client",), "does"),
    "of": (("client",), "payment"),
    "key": (("client",), "key"),
    "amount": (("client",), "amount"),
    "to": (("client",), "instant"),
}
"""What is fixed of each client: what it does, about which payment, under which key, of which amount; and
where it moves the clock, if it does."""


class LookUp(StrEnum):
    """Where the key is looked up."""

    BEFORE = "before the lock"
    IN = "in the locking statement"
    AFTER = "after the lock"


class Clock(StrEnum):
    """Where the clock is read."""

    START = "at the transaction's start"
    IN = "in the locking statement"
    AFTER = "after the lock"


@dataclass(frozen=True)
class Options:
    """The protocol of the service, or one that is weakened at one place.

    Attributes:
        locking: whether the lock statement locks the row.
        look_up: where the key is looked up.
        clock: where the clock is read.
        constraints: whether the schema refuses what the code must not do; ``None`` for either.
        sweeper_locks: whether the sweeper locks what it finds due.
        key_with_capture: whether the attempt is stored in the transaction that moves the payment.
        commit_last: whether the lock is kept until the payment is moved.
        replays_wait: whether a replay waits, like every commit, until what it answers with is durable.
        clock_steps_back: whether the clock may be set back.
    """

    locking: bool = True
    look_up: LookUp = LookUp.AFTER
    clock: Clock = Clock.AFTER
    constraints: bool | None = None
    sweeper_locks: bool = True
    key_with_capture: bool = True
    commit_last: bool = True
    replays_wait: bool = True
    clock_steps_back: bool = False


class Vocabulary:
    """The terms, and what is known of them.

    Attributes:
        does, place, state, reason, outcome: the values of each enumeration, by name.
        client_does, of, key, amount, to: what is fixed of each client.
        zero: the least instant.
        nothing: the least amount, of a payment that does not exist.
        constraints: whether the schema has its constraints.
    """

    does: SimpleNamespace
    place: SimpleNamespace
    state: SimpleNamespace
    reason: SimpleNamespace
    outcome: SimpleNamespace
    fixed: SimpleNamespace
    zero: Term
    nothing: Term
    constraints: Term

    def before(self, one: Term, other: Term) -> Term:
        """Whether an instant comes before another."""
        raise NotImplementedError

    def some(self, sort: str, condition: Callable[[Term], Term]) -> Term:
        """Whether the condition holds of some client, payment or key."""
        raise NotImplementedError

    def every(self, sort: str, condition: Callable[[Term], Term]) -> Term:
        """Whether the condition holds of every client, payment or key."""
        return no(self.some(sort, lambda each: no(condition(each))))

    @property
    def no_row(self) -> Row:
        """The row of a payment that does not exist."""
        return Row(self.state.none, self.nothing, self.zero, self.zero, self.zero, self.reason.none)

    @property
    def no_attempt(self) -> Attempt:
        """What is stored under a key that was not used."""
        return Attempt(self.outcome.none, self.nothing, self.zero, self.zero)

    @property
    def no_answer(self) -> Answer:
        """What a client was told that was told nothing."""
        return self.told(self.outcome.none)

    def told(self, outcome: Term, replayed: Term = False) -> Answer:
        """An answer."""
        return Answer(outcome, replayed, self.state.none, self.zero)
