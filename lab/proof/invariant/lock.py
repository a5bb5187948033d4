"""The lock."""

from __future__ import annotations

from collections.abc import Sequence

from lab.proof.invariant.conjunct import (
    HELD,
    READ,
    Conjunct,
    all_clients,
    conjunct,
    exists,
    is_stored,
    stands_at,
)
from lab.proof.logic import Term, both, either, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import State


@conjunct()
def one_holder(m: Protocol, s: State) -> Term:
    """At most one client has the lock of a payment."""
    of = m.words.fixed.of
    return all_clients(
        m,
        lambda p: all_clients(
            m, lambda q: implies(both(s.holds(p), s.holds(q), same(of(p), of(q))), same(p, q))
        ),
    )


@conjunct()
def holders_are_midway(m: Protocol, s: State) -> Term:
    """Who has a lock is within its transaction, and does not wait."""
    return all_clients(
        m,
        lambda p: implies(
            s.holds(p), both(stands_at(m, s, p, *HELD), no(s.waits(p)), exists(m, m.row(s, p)))
        ),
    )


@conjunct()
def waiting_statements(m: Protocol, s: State) -> Term:
    """Only statements that lock a row wait, and the sweeper passes over what is locked."""

    def says(p: Term) -> Term:
        locks = both(stands_at(m, s, p, "lock", "update"), exists(m, m.row(s, p)))
        return implies(s.waits(p), both(locks, no(m.does(p, "sweep"))))

    return all_clients(m, says)


@conjunct()
def places(m: Protocol, s: State) -> Term:
    """Each client sends the statements of what it does."""

    def says(p: Term) -> Term:
        return both(
            implies(m.does(p, "create"), stands_at(m, s, p, "create", "look", "done")),
            implies(m.does(p, "read"), stands_at(m, s, p, "read", "done")),
            implies(m.does(p, "tick"), stands_at(m, s, p, "tick", "done")),
            implies(
                m.does(p, "capture"), stands_at(m, s, p, "begin", "lock", "find", "clock", *READ, "done")
            ),
            implies(
                m.does(p, "authorize", "fail"),
                stands_at(m, s, p, "begin", "lock", "clock", "update", "commit", "done"),
            ),
            implies(
                m.does(p, "sweep"),
                stands_at(m, s, p, "due", "begin", "lock", "clock", "update", "commit", "rollback", "done"),
            ),
            implies(m.holder(p), stands_at(m, s, p, "begin", "lock", "update", "commit", "rollback", "done")),
        )

    return all_clients(m, says)


@conjunct()
def deciders_hold(m: Protocol, s: State) -> Term:
    """Who decides about a payment that it has seen has its lock."""

    def says(p: Term) -> Term:
        request = both(m.requests(p), stands_at(m, s, p, *HELD))
        sweep = both(m.does(p, "sweep"), stands_at(m, s, p, *HELD))
        return implies(either(request, sweep), either(s.holds(p), no(exists(m, s.saw(p)))))

    return all_clients(m, says)


@conjunct()
def writers_hold(m: Protocol, s: State) -> Term:
    """Who has written without committing has the lock."""

    def says(p: Term) -> Term:
        wrote = either(exists(m, s.wrote_row(p)), is_stored(m, s.wrote(p)))
        return both(
            implies(wrote, both(s.holds(p), stands_at(m, s, p, "insert", "commit", "rollback"))),
            implies(no(exists(m, s.wrote_row(p))), same(s.wrote_row(p), m.words.no_row)),
        )

    return all_clients(m, says)


LOCK: Sequence[Conjunct] = (
    one_holder,
    holders_are_midway,
    waiting_statements,
    places,
    deciders_hold,
    writers_hold,
)
