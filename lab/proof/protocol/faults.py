"""What goes wrong."""

from __future__ import annotations

from lab.proof.logic import Term, among, both, no, same
from lab.proof.protocol.ends import Ends
from lab.proof.protocol.states import ProtocolStep, constant
from lab.proof.vocabulary import State


class Faults(Ends):
    """What breaks off a transaction, or takes a state away."""

    def under_way(self, s: State, p: Term) -> Term:
        """Whether a transaction is open."""
        place = self.words.place
        outside = (place.done, place.tick, place.read, place.create, place.look, place.due)
        return no(among(s.at(p), place.begin, *outside))

    def _again(self, s: State, p: Term) -> State:
        return self.goes(self.forgotten(s, p), p, self.first_place(p))

    def cut(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """A transaction ends with nothing done: cut, timed out, or taken back. The client begins again."""
        return ProtocolStep(self.under_way(s, p), self._again(s, p))

    def lose_answer(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """A commit is carried out, and its answer is lost."""
        return ProtocolStep(
            self.sends(s, p, self.words.place.commit), self._again(self.kept(self.stores(s, p)), p)
        )

    def give_up_waiting(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """A commit is carried out here, and the wait for the standby is given up: nobody is told."""
        return ProtocolStep(self.sends(s, p, self.words.place.commit), self._again(self.stores(s, p), p))

    def lose_creation(self, s: State, p: Term, end: Term) -> ProtocolStep:
        """A payment is created, and the answer is lost."""
        step = self.create(s, p, end)
        is_new = same(self.row(s, p).state, self.words.state.none)
        return ProtocolStep(both(step.guard, is_new), self._again(step.after.but(answer=s.answer), p))

    def _all_begin_again(self, s: State) -> State:
        w, way = self.words, lambda q: self.under_way(s, q)
        nothing = {
            "saw": w.no_row,
            "found": w.no_attempt,
            "begun": w.zero,
            "clock": w.zero,
            "granted": w.zero,
            "broken": False,
            "wrote_row": w.no_row,
            "wrote": w.no_attempt,
            "holds": False,
            "waits": False,
        }
        cleared = {name: getattr(s, name).where(way, constant(value)) for name, value in nothing.items()}
        return s.but(at=s.at.where(way, self.first_place), **cleared)

    def crash(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """The database stops at once: what was committed stays, everything else is gone."""
        return ProtocolStep(self.under_way(s, p), self._all_begin_again(s))

    def fail_over(self, s: State, _p: Term, _end: Term) -> ProtocolStep:
        """The standby takes the database's place: what had not reached it is gone."""
        return ProtocolStep(True, self._all_begin_again(s.but(row=s.kept_row, under=s.kept_under)))
