"""What a client has decided, which statement it sends next, and what it waits for."""

from __future__ import annotations

from lab.proof.logic import Term, both, choose, differ, either, first, no, same
from lab.proof.protocol.rule import Done, Rule
from lab.proof.vocabulary import Attempt, Clock, LookUp, Row, State


class Decisions(Rule):
    """What follows from what a client has read."""

    def instant(self, s: State, p: Term) -> Term:
        """The instant that decides."""
        return s.begun(p) if self.options.clock is Clock.START else s.clock(p)

    def decision(self, s: State, p: Term, end: Term) -> Done:
        """What a request decides on what it has seen."""
        return self.decide(s.saw(p), s.found(p), p, self.instant(s, p), s.granted(p), end)

    def new_row(self, s: State, p: Term, end: Term) -> Row:
        """The row that an UPDATE writes; that of a session outside is guarded by the state that it finds."""
        w, row = self.words, self.row(s, p)
        voided = self.failed(row, w.reason.voided, s.now)
        written: Row = first(
            (self.requests(p), self.decision(s, p, end).row),
            (self.does(p, "sweep"), self.failed(s.saw(p), w.reason.expired, self.instant(s, p))),
            (same(row.state, w.state.authorized), voided),
            otherwise=w.no_row,
        )
        return written

    def first_place(self, p: Term) -> Term:
        """The first statement of a client."""
        place = self.words.place
        return first(
            (self.does(p, "create"), place.create),
            (self.does(p, "read"), place.read),
            (self.does(p, "tick"), place.tick),
            (self.does(p, "sweep"), place.due),
            otherwise=place.begin,
        )

    def first_read(self, p: Term) -> Term:
        """The first statement of a transaction that reads."""
        place = self.words.place
        early = both(self.does(p, "capture"), self.options.look_up is LookUp.BEFORE)
        return choose(early, place.find, place.lock)

    def after_lock(self, p: Term) -> Term:
        """The statement after the one that locks."""
        place = self.words.place
        looks_up = both(self.does(p, "capture"), self.options.look_up is LookUp.AFTER)
        return first(
            (self.does(p, "only_lock"), place.commit),
            (self.holder(p), place.update),
            (looks_up, place.find),
            otherwise=place.clock,
        )

    def first_write(self, s: State, p: Term) -> Term:
        """The statement after the last read."""
        place, saw = self.words.place, s.saw(p)
        due = both(differ(saw.state, self.words.state.none), no(self.open_at(saw, self.instant(s, p))))
        inserts, moves = self.inserts(s, p), self.moves(s, p)
        one, other = (place.update, place.insert) if self.updates_first else (place.insert, place.update)
        first_of_both, second = (moves, inserts) if self.updates_first else (inserts, moves)
        return first(
            (self.does(p, "sweep"), choose(due, place.update, place.rollback)),
            (first_of_both, one),
            (second, other),
            otherwise=place.commit,
        )

    @property
    def updates_first(self) -> bool:
        """Whether both writes are of one transaction, the payment's first."""
        return self.options.key_with_capture and self.options.commit_last

    def moves(self, s: State, p: Term) -> Term:
        """Whether the decision of a request moves the payment."""
        return differ(self.decision(s, p, self.words.zero).row.state, s.saw(p).state)

    def inserts(self, s: State, p: Term) -> Term:
        """Whether it stores an attempt."""
        decided = self.decision(s, p, self.words.zero).attempt
        return both(self.does(p, "capture"), differ(decided.outcome, s.found(p).outcome))

    def locked_by_another(self, s: State, p: Term) -> Term:
        """Whether another client has the lock of this one's payment."""
        of = self.words.fixed.of
        return self.words.some("client", lambda q: both(differ(q, p), s.holds(q), same(of(q), of(p))))

    def conflict(self, one: Attempt, key: Term, other: Attempt, other_key: Term) -> Term:
        """Whether the unique keys allow only one of two attempts of a payment."""
        captured = self.words.outcome.captured
        return either(same(key, other_key), both(same(one.outcome, captured), same(other.outcome, captured)))

    def contended(self, s: State, p: Term, end: Term) -> Term:
        """Whether an insertion has to wait for one that is not committed."""
        w, new = self.words, self.decision(s, p, end).attempt
        return both(
            w.constraints,
            w.some(
                "client",
                lambda q: both(
                    differ(q, p),
                    same(w.fixed.of(q), w.fixed.of(p)),
                    differ(s.wrote(q).outcome, w.outcome.none),
                    self.conflict(s.wrote(q), w.fixed.key(q), new, w.fixed.key(p)),
                ),
            ),
        )

    def refused_insert(self, s: State, p: Term, end: Term) -> Term:
        """Whether the unique keys refuse the attempt."""
        w, new = self.words, self.decision(s, p, end).attempt

        def refuses(key: Term) -> Term:
            known = s.under(w.fixed.of(p), key)
            conflict = self.conflict(known, key, new, w.fixed.key(p))
            return both(differ(known.outcome, w.outcome.none), conflict)

        return both(w.constraints, w.some("key", refuses))

    def legal(self, old: Term, new: Term) -> Term:
        """Whether a payment may move so."""
        state = self.words.state
        moves = [
            (state.none, state.pending),
            (state.pending, state.authorized),
            (state.authorized, state.captured),
            (state.authorized, state.failed),
        ]
        return either(*(both(same(old, one), same(new, other)) for one, other in moves))
