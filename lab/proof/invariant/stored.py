"""What is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.proof.invariant.conjunct import (
    Conjunct,
    all_clients,
    conjunct,
    exists,
    is_captured,
    is_recorded,
    is_stored,
    not_after,
    stored_conjunct,
)
from lab.proof.logic import Map, Term, among, both, differ, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import Row, State


@stored_conjunct("I5")
def rows(m: Protocol, row: Map, _under: Map) -> Term:
    """A window is not empty, and nothing expires before its end."""
    w = m.words

    def says(payment: Term) -> Term:
        r: Row = row(payment)
        state = w.state
        born = replace(w.no_row, state=state.pending, amount=r.amount)
        windowed = among(r.state, state.authorized, state.captured, state.failed)
        expired = same(r.reason, w.reason.expired)
        return both(
            implies(no(exists(m, r)), same(r, w.no_row)),
            implies(same(r.state, state.pending), same(r, born)),
            implies(windowed, w.before(r.authorized_at, r.expires_at)),
            implies(same(r.state, state.authorized), same(r.ended_at, w.zero)),
            same(same(r.state, state.failed), differ(r.reason, w.reason.none)),
            implies(expired, no(w.before(r.ended_at, r.expires_at))),
        )

    return w.every("payment", says)


@stored_conjunct("I1", "I5", "I6")
def captures(m: Protocol, row: Map, under: Map) -> Term:
    """A successful attempt belongs to a captured payment, of its amount, decided within its window."""
    w = m.words

    def says(payment: Term, key: Term) -> Term:
        r, attempt = row(payment), under(payment, key)
        return implies(
            is_captured(m, attempt),
            both(
                same(r.state, w.state.captured),
                same(attempt.amount, r.amount),
                same(attempt.decided_at, r.ended_at),
                w.before(attempt.decided_at, r.expires_at),
            ),
        )

    return w.every("payment", lambda payment: w.every("key", lambda key: says(payment, key)))


@stored_conjunct("I6")
def captured_by_someone(m: Protocol, row: Map, under: Map) -> Term:
    """A captured payment has a successful attempt."""
    w = m.words
    return w.every(
        "payment",
        lambda payment: implies(
            same(row(payment).state, w.state.captured),
            w.some("key", lambda key: is_captured(m, under(payment, key))),
        ),
    )


@stored_conjunct("I1")
def once(m: Protocol, _row: Map, under: Map) -> Term:
    """At most one attempt of a payment is successful."""
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda one: w.every(
                "key",
                lambda other: implies(
                    both(is_captured(m, under(payment, one)), is_captured(m, under(payment, other))),
                    same(one, other),
                ),
            ),
        ),
    )


@stored_conjunct("I11")
def attempts(m: Protocol, row: Map, under: Map) -> Term:
    """What is stored under a key is a decided capture of a payment."""
    w = m.words

    def says(payment: Term, key: Term) -> Term:
        attempt = under(payment, key)
        return both(
            implies(no(is_stored(m, attempt)), same(attempt, w.no_attempt)),
            implies(is_stored(m, attempt), both(is_recorded(m, attempt.outcome), exists(m, row(payment)))),
        )

    return w.every("payment", lambda payment: w.every("key", lambda key: says(payment, key)))


@stored_conjunct("I5", needs_order=True)
def granted_in_time(m: Protocol, row: Map, under: Map) -> Term:
    """The lock of a successful capture was granted within the window."""
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                is_captured(m, under(payment, key)),
                w.before(under(payment, key).granted, row(payment).expires_at),
            ),
        ),
    )


def _past(m: Protocol, s: State, row: Map, under: Map) -> Term:
    w = m.words

    def stored(payment: Term, key: Term) -> Term:
        attempt = under(payment, key)
        ordered = not_after(m, attempt.granted, attempt.decided_at)
        return both(ordered, not_after(m, attempt.decided_at, s.now))

    def says(payment: Term) -> Term:
        r = row(payment)
        rows = both(not_after(m, r.authorized_at, s.now), not_after(m, r.ended_at, s.now))
        return both(rows, w.every("key", lambda key: stored(payment, key)))

    return w.every("payment", says)


@conjunct("I5", needs_order=True)
def stored_in_the_past(m: Protocol, s: State) -> Term:
    """What is written was decided after its lock was granted, and before now."""
    written = all_clients(m, lambda p: not_after(m, s.wrote_row(p).ended_at, s.now))
    return both(written, _past(m, s, s.row, s.under), _past(m, s, s.kept_row, s.kept_under))


@conjunct("I7")
def standby_is_behind(m: Protocol, s: State) -> Term:
    """What the standby has is what the primary has."""
    w = m.words
    rows = w.every(
        "payment",
        lambda payment: implies(
            exists(m, s.kept_row(payment)), same(s.kept_row(payment).amount, s.row(payment).amount)
        ),
    )
    attempts = w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                is_stored(m, s.kept_under(payment, key)),
                same(s.under(payment, key), s.kept_under(payment, key)),
            ),
        ),
    )
    return both(rows, attempts)


STORED: Sequence[Conjunct] = (
    rows,
    captures,
    captured_by_someone,
    once,
    attempts,
    granted_in_time,
    stored_in_the_past,
    standby_is_behind,
)
