"""What holds of every step."""

from __future__ import annotations

from collections.abc import Sequence

from lab.proof.invariant.conjunct import (
    StepProperty,
    all_clients,
    exists,
    is_stored,
    not_after,
    stands_at,
    step_property,
)
from lab.proof.logic import Term, among, both, differ, either, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import State


@step_property("I2")
def moves_are_legal(m: Protocol, s: State, after: State, _p: Term) -> Term:
    """A payment moves as it may, and what was recorded of it stays."""

    def says(payment: Term) -> Term:
        old, new = s.row(payment), after.row(payment)
        stays = both(
            same(new.amount, old.amount),
            implies(
                differ(old.state, m.words.state.pending),
                both(same(new.authorized_at, old.authorized_at), same(new.expires_at, old.expires_at)),
            ),
        )
        return either(
            same(new, old),
            both(m.legal(old.state, new.state), either(no(exists(m, old)), stays)),
        )

    return m.words.every("payment", says)


@step_property("I3", "I11")
def attempts_stay(m: Protocol, s: State, after: State, _p: Term) -> Term:
    """What is stored under a key is never changed."""
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                is_stored(m, s.under(payment, key)), same(after.under(payment, key), s.under(payment, key))
            ),
        ),
    )


@step_property("I3")
def answers_stay(m: Protocol, s: State, after: State, _p: Term) -> Term:
    """Who was answered is not answered otherwise."""
    return all_clients(
        m,
        lambda p: implies(
            differ(s.answer(p).outcome, m.words.outcome.none), same(after.answer(p), s.answer(p))
        ),
    )


@step_property("I10")
def linearized(m: Protocol, s: State, after: State, p: Term) -> Term:
    """A transaction that ends is one step of the rule; without a payment it changes nothing, and says so."""
    of, key = m.words.fixed.of(p), m.words.fixed.key(p)
    done = m.decide(m.row(s, p), m.stored(s, p), p, m.instant(s, p), s.granted(p), after.row(of).expires_at)
    answered = implies(
        differ(after.answer(p).outcome, s.answer(p).outcome),
        both(same(after.answer(p).outcome, done.outcome), same(after.answer(p).replayed, done.replayed)),
    )
    stored = both(
        same(after.row(of), done.row),
        implies(m.does(p, "capture"), same(after.under(of, key), done.attempt)),
    )
    ends = both(m.requests(p), stands_at(m, s, p, "commit"), no(stands_at(m, after, p, "commit")))
    unchanged = both(
        same(after.row(of), m.row(s, p)),
        implies(m.does(p, "capture"), same(after.under(of, key), m.stored(s, p))),
    )
    silent = same(after.answer(p), s.answer(p))
    not_found = same(after.answer(p), m.words.told(m.words.outcome.not_found))
    return both(
        implies(both(ends, s.holds(p)), either(both(unchanged, silent), both(stored, answered))),
        implies(both(ends, no(s.holds(p))), both(unchanged, either(silent, not_found))),
    )


@step_property("I5", "I10", needs_order=True)
def decided_in_between(m: Protocol, s: State, after: State, p: Term) -> Term:
    """The instant of that step lies between the lock's grant and the commit."""
    ends = both(m.requests(p), s.holds(p), stands_at(m, s, p, "commit"), no(stands_at(m, after, p, "commit")))
    return implies(
        ends, both(not_after(m, s.granted(p), m.instant(s, p)), not_after(m, m.instant(s, p), s.now))
    )


@step_property("I10")
def nobody_else_moves_it(m: Protocol, s: State, after: State, p: Term) -> Term:
    """From the lock's grant on nobody else changes the payment: the grant is a linearization point."""
    w = m.words

    def says(q: Term) -> Term:
        of = w.fixed.of(q)
        kept = both(
            same(after.row(of), s.row(of)),
            w.every("key", lambda key: same(after.under(of, key), s.under(of, key))),
        )
        return implies(both(differ(q, p), s.holds(q), after.holds(q)), kept)

    return all_clients(m, says)


@step_property("I8")
def reads_are_current(m: Protocol, s: State, after: State, p: Term) -> Term:
    """A read shows what is committed."""
    told = after.answer(p)
    return implies(
        both(m.does(p, "read"), differ(told.outcome, s.answer(p).outcome)),
        both(same(told.state, m.row(s, p).state), same(told.as_of, s.now)),
    )


@step_property("I11")
def only_decisions_move(m: Protocol, s: State, after: State, p: Term) -> Term:
    """A payment moves by a decision that moves it."""
    w = m.words
    outcome = m.decision(s, p, w.zero).outcome
    decided = both(m.requests(p), among(outcome, w.outcome.authorized, w.outcome.captured, w.outcome.failed))
    return w.every(
        "payment",
        lambda payment: either(
            same(after.row(payment), s.row(payment)),
            decided,
            m.does(p, "create", "sweep"),
            m.holder(p),
        ),
    )


STEPS: Sequence[StepProperty] = (
    moves_are_legal,
    attempts_stay,
    answers_stay,
    linearized,
    decided_in_between,
    nobody_else_moves_it,
    reads_are_current,
    only_decisions_move,
)
