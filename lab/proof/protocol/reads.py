"""The statements that read."""

from __future__ import annotations

from lab.proof.logic import Term, both, choose, differ, either, no, same
from lab.proof.protocol.decisions import Decisions
from lab.proof.protocol.states import ProtocolStep, either_state
from lab.proof.vocabulary import Clock, LookUp, State


class Reads(Decisions):
    """What a client sees."""

    def sends(self, s: State, p: Term, place: Term) -> Term:
        """Whether a client is about to send this statement."""
        return both(same(s.at(p), place), no(s.waits(p)))

    def forgotten(self, s: State, p: Term) -> State:
        """What a session leaves behind when its transaction ends: nothing."""
        w = self.words
        return s.but(
            holds=s.holds.with_value(p, value=False),
            waits=s.waits.with_value(p, value=False),
            saw=s.saw.with_value(p, value=w.no_row),
            found=s.found.with_value(p, value=w.no_attempt),
            begun=s.begun.with_value(p, value=w.zero),
            clock=s.clock.with_value(p, value=w.zero),
            granted=s.granted.with_value(p, value=w.zero),
            broken=s.broken.with_value(p, value=False),
            wrote_row=s.wrote_row.with_value(p, value=w.no_row),
            wrote=s.wrote.with_value(p, value=w.no_attempt),
        )

    def goes(self, s: State, p: Term, place: Term) -> State:
        """The client's next statement."""
        return s.but(at=s.at.with_value(p, value=place))

    def begin(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """BEGIN."""
        begun = s.but(begun=s.begun.with_value(p, value=s.now))
        return ProtocolStep(self.sends(s, p, self.words.place.begin), self.goes(begun, p, self.first_read(p)))

    def reads_row(self, s: State, p: Term) -> State:
        """The locking statement sees what is committed; after a wait, the newest version of the row."""
        return s.but(
            saw=s.saw.with_value(p, value=self.row(s, p)), granted=s.granted.with_value(p, value=s.now)
        )

    def reads_in_lock(self, s: State, p: Term, again: Term) -> State:
        """A weakened protocol reads more in the locking statement; the clock again if the row has changed."""
        if self.options.look_up is LookUp.IN:
            looked_up = choose(again, s.found(p), self.stored(s, p))
            s = s.but(found=s.found.with_value(p, value=looked_up))
        if self.options.clock is Clock.IN:
            reads = either(no(again), differ(self.row(s, p), s.saw(p)))
            s = s.but(clock=s.clock.with_value(p, value=choose(reads, s.now, s.clock(p))))
        return s

    def lock(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """SELECT ... FOR NO KEY UPDATE: waits while another has the lock. Without a row there is no lock."""
        sweep = self.does(p, "sweep")
        locks = both(
            either(self.options.locking, self.holder(p)),
            differ(self.row(s, p).state, self.words.state.none),
        )
        waits = both(locks, self.locked_by_another(s, p))
        seen = self.reads_row(self.reads_in_lock(s, p, False), p)
        granted = seen.but(holds=seen.holds.with_value(p, value=locks))
        waiting = seen.but(waits=seen.waits.with_value(p, value=True))
        return ProtocolStep(
            self.sends(s, p, self.words.place.lock),
            either_state(
                sweep,
                self._locks_due(s, p),
                either_state(waits, waiting, self.goes(granted, p, self.after_lock(p))),
            ),
        )

    def _locks_due(self, s: State, p: Term) -> State:
        """The sweeper locks what it found due, if that is still authorized, and passes over a locked row."""
        w, row = self.words, self.row(s, p)
        locked = both(self.options.sweeper_locks, self.locked_by_another(s, p))
        mine = both(same(row.state, w.state.authorized), no(locked))
        seen = s.but(
            saw=s.saw.with_value(p, value=choose(mine, row, w.no_row)),
            granted=s.granted.with_value(p, value=s.now),
            holds=s.holds.with_value(p, value=both(mine, self.options.sweeper_locks)),
        )
        return self.goes(seen, p, w.place.clock)

    def find(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """SELECT from the attempts, by the key."""
        found = s.but(found=s.found.with_value(p, value=self.stored(s, p)))
        early = self.options.look_up is LookUp.BEFORE
        following = self.words.place.lock if early else self.words.place.clock
        return ProtocolStep(self.sends(s, p, self.words.place.find), self.goes(found, p, following))

    def read_clock(self, s: State, p: Term, _end: Term) -> ProtocolStep:
        """SELECT payment_clock()."""
        kept = both(self.options.clock is Clock.IN, self.requests(p))
        seen = s.but(clock=s.clock.with_value(p, value=choose(kept, s.clock(p), s.now)))
        return ProtocolStep(
            self.sends(s, p, self.words.place.clock), self.goes(seen, p, self.first_write(seen, p))
        )
