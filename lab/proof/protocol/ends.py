"""The end of a transaction, the answer, and what is one statement without a transaction."""

from __future__ import annotations

from dataclasses import replace

from lab.proof.logic import Term, both, choose, no, same
from lab.proof.protocol.states import ProtocolStep, either_map, either_state
from lab.proof.protocol.writes import Writes
from lab.proof.vocabulary import Answer, State


class Ends(Writes):
    """What is committed, and what clients are told."""

    def commit(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """COMMIT, which returns when it is durable, on the standby too; then the answer."""
        stored = self.stores(s, p)
        kept = self.kept(stored)
        if not self.options.replays_wait:
            replay = both(self.does(p, "capture"), self.decision(s, p, self.words.zero).replayed)
            kept = replace(
                stored,
                kept_row=either_map(replay, stored.kept_row, stored.row),
                kept_under=either_map(replay, stored.kept_under, stored.under),
            )
        done = self.answered(kept, p, self.answer_of(s, p))
        if not self.options.commit_last:
            # A weakened protocol has given the lock back, and moves the payment after that.
            moves = kept.but(
                holds=kept.holds.with_value(p, value=False),
                wrote=kept.wrote.with_value(p, value=self.words.no_attempt),
            )
            later = both(self.does(p, "capture"), self.moves(s, p))
            done = either_state(later, self.goes(moves, p, self.words.place.update), done)
        return ProtocolStep(self.sends(s, p, self.words.place.commit), done)

    def rollback(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """ROLLBACK, and the answer."""
        return ProtocolStep(
            self.sends(s, p, self.words.place.rollback), self.answered(s, p, self.answer_of(s, p))
        )

    def create(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """INSERT ... ON CONFLICT DO NOTHING, outside a transaction; if nothing was inserted, look next."""
        w, of = self.words, self.words.fixed.of(p)
        is_new = same(self.row(s, p).state, w.state.none)
        born = replace(w.no_row, state=w.state.pending, amount=w.fixed.amount(p))
        created = self.answered(
            self.kept(s.but(row=s.row.with_value(of, value=born))), p, w.told(w.outcome.created)
        )
        return ProtocolStep(
            self.sends(s, p, w.place.create), either_state(is_new, created, self.goes(s, p, w.place.look))
        )

    def look(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """Read the payment that was there."""
        w = self.words
        is_same = same(self.row(s, p).amount, w.fixed.amount(p))
        told = w.told(choose(is_same, w.outcome.exists, w.outcome.id_conflict))
        return ProtocolStep(self.sends(s, p, w.place.look), self.answered(s, p, told))

    def find_due(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """The sweeper finds what is due, outside any transaction; where nothing is, it is done."""
        w, row = self.words, self.row(s, p)
        due = both(same(row.state, w.state.authorized), no(self.open_at(row, s.now)))
        done = self.answered(s, p, w.told(w.outcome.done))
        return ProtocolStep(
            self.sends(s, p, w.place.due), either_state(due, self.goes(s, p, w.place.begin), done)
        )

    def read(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """One statement, outside any transaction; ``as_of`` is the time of the look."""
        w = self.words
        told = Answer(w.outcome.read, False, self.row(s, p).state, s.now)
        return ProtocolStep(self.sends(s, p, w.place.read), self.answered(s, p, told))

    def tick(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """The clock goes on; where it may, it is set back."""
        w, to = self.words, self.words.fixed.to(p)
        moved = to if self.options.clock_steps_back else choose(w.before(s.now, to), to, s.now)
        return ProtocolStep(
            self.sends(s, p, w.place.tick), self.answered(s.but(now=moved), p, w.told(w.outcome.done))
        )
