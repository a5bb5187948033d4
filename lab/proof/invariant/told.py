"""What clients were told."""

from __future__ import annotations

from collections.abc import Sequence

from lab.proof.invariant.conjunct import (
    Conjunct,
    all_clients,
    conjunct,
    is_recorded,
    is_stored,
    stands_at,
)
from lab.proof.logic import Term, both, differ, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import State


@conjunct("I3", "I4", "I7")
def answers_stay_true(m: Protocol, s: State) -> Term:
    """What a capture was told is stored under its key, on the standby too."""

    def says(p: Term) -> Term:
        w, told = m.words, s.answer(p)
        under = s.kept_under(w.fixed.of(p), w.fixed.key(p))
        amount = w.fixed.amount(p)
        return implies(
            m.does(p, "capture"),
            both(
                implies(
                    is_recorded(m, told.outcome),
                    both(same(under.outcome, told.outcome), same(under.amount, amount)),
                ),
                implies(
                    same(told.outcome, w.outcome.key_reused),
                    both(is_stored(m, under), differ(under.amount, amount)),
                ),
            ),
        )

    return all_clients(m, says)


@conjunct()
def the_answered_are_done(m: Protocol, s: State) -> Term:
    """Who was answered sends nothing more."""
    return all_clients(
        m,
        lambda p: implies(differ(s.answer(p).outcome, m.words.outcome.none), stands_at(m, s, p, "done")),
    )


@conjunct("I1")
def one_is_told(m: Protocol, s: State) -> Term:
    """At most one capture of a payment is told, first, that it succeeded."""
    w = m.words

    def told(p: Term) -> Term:
        answer = s.answer(p)
        return both(m.does(p, "capture"), same(answer.outcome, w.outcome.captured), no(answer.replayed))

    return all_clients(
        m,
        lambda p: all_clients(
            m, lambda q: implies(both(told(p), told(q), same(w.fixed.of(p), w.fixed.of(q))), same(p, q))
        ),
    )


TOLD: Sequence[Conjunct] = (
    answers_stay_true,
    the_answered_are_done,
    one_is_told,
)
