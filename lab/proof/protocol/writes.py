"""The statements that write, and those that go on after they waited."""

from __future__ import annotations

from lab.proof.logic import Term, both, choose, either, first, implies, no, same
from lab.proof.protocol.reads import Reads
from lab.proof.protocol.states import ProtocolStep, either_state
from lab.proof.vocabulary import Answer, State


class Writes(Reads):
    """What a client writes."""

    def stores(self, s: State, p: Term) -> State:
        """What a client wrote becomes what is committed."""
        w, of, key = self.words, self.words.fixed.of(p), self.words.fixed.key(p)
        row, attempt = s.wrote_row(p), s.wrote(p)
        return s.but(
            row=s.row.with_value(of, value=choose(same(row.state, w.state.none), self.row(s, p), row)),
            under=s.under.with_value(
                of, key, value=choose(same(attempt.outcome, w.outcome.none), s.under(of, key), attempt)
            ),
        )

    def kept(self, s: State) -> State:
        """What is committed has reached the standby."""
        return s.but(kept_row=s.row, kept_under=s.under)

    def answered(self, s: State, p: Term, answer: Answer) -> State:
        """The answer, and with it the end of what the client sends."""
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

    def _updates(self, s: State, p: Term, end: Term) -> State:
        """Move the row, or fail where the schema refuses the move."""
        w, new = self.words, self.new_row(s, p, end)
        nothing = same(new.state, w.state.none)
        refused = both(w.constraints, no(self.legal(self.row(s, p).state, new.state)), no(nothing))
        following = first(
            (nothing, choose(self.does(p, "roll_back"), w.place.rollback, w.place.commit)),
            (refused, w.place.rollback),
            (self.does(p, "roll_back"), w.place.rollback),
            (both(self.inserts(s, p), self.updates_first, self.requests(p)), w.place.insert),
            otherwise=w.place.commit,
        )
        written = s.but(
            holds=s.holds.with_value(p, value=either(s.holds(p), no(nothing))),
            broken=s.broken.with_value(p, value=both(refused, no(nothing))),
            wrote_row=s.wrote_row.with_value(p, value=choose(either(refused, nothing), w.no_row, new)),
        )
        done = self.goes(written, p, following)
        if not self.options.commit_last:
            # A weakened protocol moves the payment in a statement of its own, after its commit.
            alone = self.kept(s.but(row=s.row.with_value(self.words.fixed.of(p), value=new)))
            stored = both(self.does(p, "capture"), no(refused))
            done = either_state(stored, self.answered(alone, p, self.answer_of(s, p)), done)
        return done

    def update(self, s: State, p: Term, end: Term) -> ProtocolStep:
        """UPDATE payments: waits while another has the lock. A window ends after it begins."""
        waits = self.locked_by_another(s, p)
        waiting = s.but(waits=s.waits.with_value(p, value=True))
        ends = implies(self.does(p, "authorize"), self.words.before(self.instant(s, p), end))
        return ProtocolStep(
            both(self.sends(s, p, self.words.place.update), ends),
            either_state(waits, waiting, self._updates(s, p, end)),
        )

    def _inserts(self, s: State, p: Term, end: Term) -> State:
        """Store the attempt, or fail where the unique keys refuse it."""
        w, place = self.words, self.words.place
        refused = self.refused_insert(s, p, end)
        new = self.decision(s, p, end).attempt
        written = s.but(
            broken=s.broken.with_value(p, value=refused),
            wrote=s.wrote.with_value(p, value=choose(refused, w.no_attempt, new)),
        )
        done = self.goes(written, p, choose(refused, place.rollback, place.commit))
        if not self.options.key_with_capture:
            # A weakened protocol commits the attempt by itself, and moves the payment afterwards.
            stored = self.stores(written, p)
            alone = stored.but(wrote=stored.wrote.with_value(p, value=w.no_attempt))
            following = choose(self.moves(s, p), place.update, place.commit)
            done = self.goes(alone, p, choose(refused, place.rollback, following))
        return done

    def insert(self, s: State, p: Term, end: Term) -> ProtocolStep:
        """INSERT INTO capture_attempts: waits for an insertion that it may conflict with."""
        waits = self.contended(s, p, end)
        waiting = s.but(waits=s.waits.with_value(p, value=True))
        return ProtocolStep(
            self.sends(s, p, self.words.place.insert), either_state(waits, waiting, self._inserts(s, p, end))
        )

    def wake(self, s: State, p: Term, end: Term) -> ProtocolStep:
        """A statement that waited goes on."""
        place = self.words.place
        inserting, updating = same(s.at(p), place.insert), same(s.at(p), place.update)
        ready = choose(inserting, no(self.contended(s, p, end)), no(self.locked_by_another(s, p)))
        awake = s.but(waits=s.waits.with_value(p, value=False))
        seen = self.reads_row(self.reads_in_lock(awake, p, True), p)
        granted = self.goes(seen.but(holds=seen.holds.with_value(p, value=True)), p, self.after_lock(p))
        written = either_state(inserting, self._inserts(awake, p, end), self._updates(awake, p, end))
        ends = implies(both(updating, self.does(p, "authorize")), self.words.before(self.instant(s, p), end))
        return ProtocolStep(
            both(s.waits(p), ready, ends), either_state(either(inserting, updating), written, granted)
        )
