"""The end of a transaction, the answer, and what is one statement without a transaction."""

from __future__ import annotations

from dataclasses import replace

from payments_verify.proof.logic import Term, both, choose, first, no, same
from payments_verify.proof.protocol.states import Step, either_map, either_state
from payments_verify.proof.protocol.writes import Writes
from payments_verify.proof.vocabulary import Answer, State


class Ends(Writes):
    """What is committed, and what clients are told."""

    def kept(self, s: State) -> State:
        """What is committed has reached the standby."""
        return s.but(kept_row=s.row, kept_under=s.under)

    def _answered(self, s: State, p: Term, answer: Answer) -> State:
        told = s.but(answer=s.answer.with_value(p, value=answer))
        return self.goes(self.forgotten(told, p), p, self.words.place.done)

    def answer_of(self, s: State, p: Term) -> Answer:
        """What is answered at the end of a transaction."""
        w, done = self.words, self.decision(s, p, self.words.zero)
        told: Answer = first(
            (no(self.requests(p)), w.told(w.outcome.done)),
            (s.broken(p), w.told(w.outcome.internal_error)),
            otherwise=w.told(done.outcome, done.replayed),
        )
        return told

    def commit(self, s: State, p: Term, _end: Term) -> Step:
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
        return Step(self.sends(s, p, self.words.place.commit), self._answered(kept, p, self.answer_of(s, p)))

    def rollback(self, s: State, p: Term, _end: Term) -> Step:
        """ROLLBACK, and the answer."""
        return Step(self.sends(s, p, self.words.place.rollback), self._answered(s, p, self.answer_of(s, p)))

    def create(self, s: State, p: Term, _end: Term) -> Step:
        """INSERT ... ON CONFLICT DO NOTHING, outside a transaction; if nothing was inserted, look next."""
        w, of = self.words, self.words.fixed.of(p)
        is_new = same(self.row(s, p).state, w.state.none)
        born = replace(w.no_row, state=w.state.pending, amount=w.fixed.amount(p))
        created = self._answered(
            self.kept(s.but(row=s.row.with_value(of, value=born))), p, w.told(w.outcome.created)
        )
        return Step(
            self.sends(s, p, w.place.create), either_state(is_new, created, self.goes(s, p, w.place.look))
        )

    def look(self, s: State, p: Term, _end: Term) -> Step:
        """Read the payment that was there."""
        w = self.words
        is_same = same(self.row(s, p).amount, w.fixed.amount(p))
        told = w.told(choose(is_same, w.outcome.exists, w.outcome.id_conflict))
        return Step(self.sends(s, p, w.place.look), self._answered(s, p, told))

    def read(self, s: State, p: Term, _end: Term) -> Step:
        """One statement, outside any transaction; ``as_of`` is the time of the look."""
        w = self.words
        told = Answer(w.outcome.read, False, self.row(s, p).state, s.now)
        return Step(self.sends(s, p, w.place.read), self._answered(s, p, told))

    def tick(self, s: State, p: Term, _end: Term) -> Step:
        """The clock goes on; where it may, it is set back."""
        w, to = self.words, self.words.fixed.to(p)
        moved = to if self.options.clock_steps_back else choose(w.before(s.now, to), to, s.now)
        return Step(
            self.sends(s, p, w.place.tick), self._answered(s.but(now=moved), p, w.told(w.outcome.done))
        )
