"""What was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.proof.invariant.conjunct import Conjunct, all_clients, conjunct, exists, stands_at
from lab.proof.logic import Term, both, differ, implies, no, same
from lab.proof.protocol import Protocol
from lab.proof.vocabulary import State


@conjunct()
def moves_are_written(m: Protocol, s: State) -> Term:
    """Before it commits, a request has written its move, and no other."""

    def says(p: Term) -> Term:
        w, saw, wrote = m.words, s.saw(p), s.wrote_row(p)
        captured = replace(saw, state=w.state.captured, ended_at=m.instant(s, p))
        opened = both(
            same(
                wrote,
                replace(
                    saw, state=w.state.authorized, authorized_at=m.instant(s, p), expires_at=wrote.expires_at
                ),
            ),
            w.before(m.instant(s, p), wrote.expires_at),
        )
        moved = both(
            implies(m.does(p, "capture"), same(wrote, captured)),
            implies(m.does(p, "authorize"), opened),
            implies(m.does(p, "fail"), same(wrote, m.failed(saw, w.reason.voided, m.instant(s, p)))),
        )
        request = both(m.requests(p), stands_at(m, s, p, "insert", "commit"))
        return both(
            implies(both(request, m.moves(s, p)), moved),
            implies(both(request, no(m.moves(s, p))), same(wrote, w.no_row)),
        )

    return all_clients(m, says)


@conjunct()
def updates_move(m: Protocol, s: State) -> Term:
    """An UPDATE is sent for a decision that moves the payment."""
    return all_clients(m, lambda p: implies(both(m.requests(p), stands_at(m, s, p, "update")), m.moves(s, p)))


@conjunct()
def inserts_store(m: Protocol, s: State) -> Term:
    """An INSERT is sent for a decision that is new."""
    return all_clients(
        m, lambda p: implies(both(m.requests(p), stands_at(m, s, p, "insert")), m.inserts(s, p))
    )


@conjunct()
def attempts_are_written(m: Protocol, s: State) -> Term:
    """Before it commits, a capture has written its attempt."""

    def says(p: Term) -> Term:
        decided = m.decision(s, p, m.words.zero).attempt
        request = both(m.requests(p), stands_at(m, s, p, "commit"))
        return both(
            implies(both(request, m.inserts(s, p)), same(s.wrote(p), decided)),
            implies(no(both(request, m.inserts(s, p))), same(s.wrote(p), m.words.no_attempt)),
        )

    return all_clients(m, says)


@conjunct()
def sweeps_are_due(m: Protocol, s: State) -> Term:
    """The sweeper writes only what was authorized and is due."""

    def says(p: Term) -> Term:
        w, saw = m.words, s.saw(p)
        due = both(same(saw.state, w.state.authorized), no(m.open_at(saw, m.instant(s, p))))
        sweep = m.does(p, "sweep")
        written = m.failed(saw, w.reason.expired, m.instant(s, p))
        return both(
            implies(both(sweep, exists(m, saw)), same(saw.state, w.state.authorized)),
            implies(both(sweep, stands_at(m, s, p, "update", "commit")), due),
            implies(both(sweep, stands_at(m, s, p, "commit")), same(s.wrote_row(p), written)),
        )

    return all_clients(m, says)


@conjunct()
def outsiders_void(m: Protocol, s: State) -> Term:
    """A session outside writes only a void of what is authorized."""

    def says(p: Term) -> Term:
        w, row, wrote = m.words, m.row(s, p), s.wrote_row(p)
        voided = m.failed(row, w.reason.voided, wrote.ended_at)
        void = both(same(row.state, w.state.authorized), same(wrote, voided))
        return implies(both(m.holder(p), exists(m, wrote)), void)

    return all_clients(m, says)


@conjunct("I9")
def nothing_breaks(m: Protocol, s: State) -> Term:
    """No statement is refused by the schema, and nobody is told of an error."""
    return all_clients(
        m,
        lambda p: both(no(s.broken(p)), differ(s.answer(p).outcome, m.words.outcome.internal_error)),
    )


WRITING: Sequence[Conjunct] = (
    moves_are_written,
    updates_move,
    inserts_store,
    attempts_are_written,
    sweeps_are_due,
    outsiders_void,
    nothing_breaks,
)
