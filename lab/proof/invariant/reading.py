"""What was read."""

from __future__ import annotations

from collections.abc import Sequence

from lab.proof.invariant.conjunct import (
    READ,
    Conjunct,
    all_clients,
    conjunct,
    not_after,
    stands_at,
)
from lab.proof.logic import Term, both, either, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import State


@conjunct()
def seen_is_there(m: Protocol, s: State) -> Term:
    """What the holder has seen of the payment is what is committed."""
    return all_clients(
        m,
        lambda p: implies(
            both(s.holds(p), either(m.requests(p), m.does(p, "sweep"))), same(s.saw(p), m.row(s, p))
        ),
    )


@conjunct()
def found_is_there(m: Protocol, s: State) -> Term:
    """What the holder has found under its key is what is committed."""
    return all_clients(
        m,
        lambda p: implies(
            both(s.holds(p), m.requests(p), stands_at(m, s, p, "clock", *READ)),
            same(s.found(p), m.stored(s, p)),
        ),
    )


@conjunct()
def others_find_nothing(m: Protocol, s: State) -> Term:
    """Only captures look a key up."""
    return all_clients(m, lambda p: implies(no(m.does(p, "capture")), same(s.found(p), m.words.no_attempt)))


@conjunct(needs_order=True)
def decided_after_the_grant(m: Protocol, s: State) -> Term:
    """The instant that decides lies between the lock's grant and now."""

    def says(p: Term) -> Term:
        reads = either(m.requests(p), m.does(p, "sweep"))
        read, t = both(reads, stands_at(m, s, p, *READ)), m.instant(s, p)
        return both(
            not_after(m, s.granted(p), s.now),
            implies(read, both(not_after(m, s.granted(p), t), not_after(m, t, s.now))),
        )

    return all_clients(m, says)


READING: Sequence[Conjunct] = (
    seen_is_there,
    found_is_there,
    others_find_nothing,
    decided_after_the_grant,
)
