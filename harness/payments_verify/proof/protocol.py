"""The protocol: what any number of requests do to payments, statement by statement, at READ COMMITTED.

A step is one SQL statement, as PostgreSQL carries it out. A client sends one request, again after each
fault, until it is answered. A capture is ``begin, lock, find, clock, (update,) (insert,) commit``, and
decides on what it has read, after the last read. This is the protocol of ``specs/tla/Capture.tla``, and
reads like it. It has more than that: payments are created, a standby may lag behind, and the clock may be
set back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from payments_verify.proof.logic import (
    Map,
    Record,
    Term,
    among,
    both,
    choose,
    differ,
    either,
    first,
    implies,
    no,
    same,
)
from payments_verify.proof.vocabulary import Answer, Attempt, Clock, LookUp, Options, Row, State, Vocabulary


@dataclass(frozen=True)
class Step:
    """What a client may do: when, and the state afterwards."""

    guard: Term
    after: State


@dataclass(frozen=True)
class Done(Record):
    """A decision: the payment afterwards, what is stored under the key, and the answer."""

    row: Row
    attempt: Attempt
    outcome: Term
    replayed: Term


Action = Callable[[State, Term, Term], Step]
"""Of a state, a client, and the instant at which a window that it opens will end."""


class Protocol:
    """The steps.

    Args:
        words: the terms.
        options: the protocol of the service, or a weakened one.
    """

    def __init__(self, words: Vocabulary, options: Options) -> None:
        self.words = words
        self.options = options

    # ---- who ----------------------------------------------------------------------------------------

    def does(self, p: Term, *what: str) -> Term:
        """Whether a client does one of these."""
        return among(self.words.fixed.does(p), *(getattr(self.words.does, each) for each in what))

    def requests(self, p: Term) -> Term:
        """Whether it sends a request that locks."""
        return self.does(p, "authorize", "capture", "fail")

    def holder(self, p: Term) -> Term:
        """Whether it is a session outside the service, which takes the row's lock."""
        return self.does(p, "only_lock", "void", "roll_back")

    def row(self, s: State, p: Term) -> Row:
        """The committed row of a client's payment."""
        found: Row = s.row(self.words.fixed.of(p))
        return found

    def stored(self, s: State, p: Term) -> Attempt:
        """What is committed under its key, if it has one."""
        w = self.words
        found: Attempt = choose(self.does(p, "capture"), s.under(w.fixed.of(p), w.fixed.key(p)), w.no_attempt)
        return found

    # ---- the rule -------------------------------------------------------------------------------------

    def open_at(self, row: Row, t: Term) -> Term:
        """Whether the window has not ended."""
        return self.words.before(t, row.expires_at)

    def refusal(self, row: Row) -> Term:
        """Why a command that is not for this payment's state is refused."""
        state, outcome = self.words.state, self.words.outcome
        return first(
            (same(row.state, state.pending), outcome.not_authorized),
            (same(row.state, state.authorized), outcome.already_authorized),
            (same(row.state, state.captured), outcome.already_captured),
            otherwise=outcome.payment_failed,
        )

    def failed(self, row: Row, reason: Term, t: Term) -> Row:
        """The payment, failed."""
        return replace(row, state=self.words.state.failed, ended_at=t, reason=reason)

    def capture_outcome(self, row: Row, amount: Term, t: Term) -> Term:
        """The outcome of a capture under a new key: the order of the lines is the order of precedence."""
        return first(
            (differ(row.state, self.words.state.authorized), self.refusal(row)),
            (no(self.open_at(row, t)), self.words.outcome.window_expired),
            (differ(amount, row.amount), self.words.outcome.amount_mismatch),
            otherwise=self.words.outcome.captured,
        )

    def capture(self, row: Row, found: Attempt, p: Term, t: Term, granted: Term) -> Done:
        """Decide a capture."""
        w, amount = self.words, self.words.fixed.amount(p)
        outcome = self.capture_outcome(row, amount, t)
        captured = replace(row, state=w.state.captured, ended_at=t)
        moved = choose(same(outcome, w.outcome.captured), captured, row)
        decided: Done = first(
            (same(row.state, w.state.none), Done(row, found, w.outcome.not_found, False)),
            (
                differ(found.outcome, w.outcome.none),
                choose(
                    same(found.amount, amount),
                    Done(row, found, found.outcome, True),
                    Done(row, found, w.outcome.key_reused, False),
                ),
            ),
            otherwise=Done(moved, Attempt(outcome, amount, t, granted), outcome, False),
        )
        return decided

    def decide(self, row: Row, found: Attempt, p: Term, t: Term, granted: Term, end: Term) -> Done:
        """Decide a request at the instant ``t``; ``found`` is what is stored under its key."""
        w = self.words
        opened = replace(row, state=w.state.authorized, authorized_at=t, expires_at=end)
        authorized = self._moved(row, w.state.pending, opened, w.outcome.authorized)
        voided = self.failed(row, w.reason.voided, t)
        failed = self._moved(row, w.state.authorized, voided, w.outcome.failed)
        decided: Done = first(
            (self.does(p, "capture"), self.capture(row, found, p, t, granted)),
            (self.does(p, "authorize"), authorized),
            otherwise=failed,
        )
        return decided

    def _moved(self, row: Row, state: Term, moved: Row, outcome: Term) -> Done:
        """Move a payment that is in this state, and refuse otherwise."""
        w = self.words
        decided: Done = first(
            (same(row.state, w.state.none), Done(row, w.no_attempt, w.outcome.not_found, False)),
            (differ(row.state, state), Done(row, w.no_attempt, self.refusal(row), False)),
            otherwise=Done(moved, w.no_attempt, outcome, False),
        )
        return decided

    # ---- what a client has decided, and sends next -------------------------------------------------------

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
            otherwise=place.begin,
        )

    def first_read(self, p: Term) -> Term:
        """The first statement of a transaction that reads."""
        place = self.words.place
        early = both(self.does(p, "capture"), self.options.look_up is LookUp.BEFORE)
        return first((self.does(p, "sweep"), place.due), (early, place.find), otherwise=place.lock)

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
        one, other = (place.update, place.insert) if self._updates_first else (place.insert, place.update)
        first_of_both, second = (moves, inserts) if self._updates_first else (inserts, moves)
        return first(
            (self.does(p, "sweep"), choose(due, place.update, place.rollback)),
            (first_of_both, one),
            (second, other),
            otherwise=place.commit,
        )

    @property
    def _updates_first(self) -> bool:
        return self.options.key_with_capture and self.options.commit_last

    def moves(self, s: State, p: Term) -> Term:
        """Whether the decision of a request moves the payment."""
        return differ(self.decision(s, p, self.words.zero).row.state, s.saw(p).state)

    def inserts(self, s: State, p: Term) -> Term:
        """Whether it stores an attempt."""
        decided = self.decision(s, p, self.words.zero).attempt
        return both(self.does(p, "capture"), differ(decided.outcome, s.found(p).outcome))

    # ---- locks and constraints ---------------------------------------------------------------------------

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

    # ---- statements that read ----------------------------------------------------------------------------

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

    def begin(self, s: State, p: Term, _end: Term) -> Step:
        """BEGIN."""
        begun = s.but(begun=s.begun.with_value(p, value=s.now))
        return Step(self.sends(s, p, self.words.place.begin), self.goes(begun, p, self.first_read(p)))

    def _reads_row(self, s: State, p: Term) -> State:
        """The locking statement sees what is committed; after a wait, the newest version of the row."""
        return s.but(
            saw=s.saw.with_value(p, value=self.row(s, p)), granted=s.granted.with_value(p, value=s.now)
        )

    def _reads_in_lock(self, s: State, p: Term, again: Term) -> State:
        """A weakened protocol reads more in the locking statement; the clock again if the row has changed."""
        if self.options.look_up is LookUp.IN:
            looked_up = choose(again, s.found(p), self.stored(s, p))
            s = s.but(found=s.found.with_value(p, value=looked_up))
        if self.options.clock is Clock.IN:
            reads = either(no(again), differ(self.row(s, p), s.saw(p)))
            s = s.but(clock=s.clock.with_value(p, value=choose(reads, s.now, s.clock(p))))
        return s

    def lock(self, s: State, p: Term, _end: Term) -> Step:
        """SELECT ... FOR NO KEY UPDATE: waits while another has the lock. Without a row there is no lock."""
        locks = both(
            either(self.options.locking, self.holder(p)),
            differ(self.row(s, p).state, self.words.state.none),
        )
        waits = both(locks, self.locked_by_another(s, p))
        seen = self._reads_row(self._reads_in_lock(s, p, False), p)
        granted = seen.but(holds=seen.holds.with_value(p, value=locks))
        waiting = seen.but(waits=seen.waits.with_value(p, value=True))
        return Step(
            self.sends(s, p, self.words.place.lock),
            _either(waits, waiting, self.goes(granted, p, self.after_lock(p)), p),
        )

    def find(self, s: State, p: Term, _end: Term) -> Step:
        """SELECT from the attempts, by the key."""
        found = s.but(found=s.found.with_value(p, value=self.stored(s, p)))
        early = self.options.look_up is LookUp.BEFORE
        following = self.words.place.lock if early else self.words.place.clock
        return Step(self.sends(s, p, self.words.place.find), self.goes(found, p, following))

    def read_clock(self, s: State, p: Term, _end: Term) -> Step:
        """SELECT payment_clock()."""
        kept = both(self.options.clock is Clock.IN, self.requests(p))
        seen = s.but(clock=s.clock.with_value(p, value=choose(kept, s.clock(p), s.now)))
        return Step(self.sends(s, p, self.words.place.clock), self.goes(seen, p, self.first_write(seen, p)))

    def lock_due(self, s: State, p: Term, _end: Term) -> Step:
        """The sweeper's statement, which passes over a row that is locked."""
        w, row = self.words, self.row(s, p)
        locked = both(self.options.sweeper_locks, self.locked_by_another(s, p))
        due = both(same(row.state, w.state.authorized), no(self.open_at(row, s.now)), no(locked))
        seen = s.but(
            saw=s.saw.with_value(p, value=choose(due, row, w.no_row)),
            granted=s.granted.with_value(p, value=s.now),
            holds=s.holds.with_value(p, value=both(due, self.options.sweeper_locks)),
        )
        return Step(self.sends(s, p, w.place.due), self.goes(seen, p, w.place.clock))

    # ---- statements that write ---------------------------------------------------------------------------

    def _updates(self, s: State, p: Term, end: Term) -> State:
        """Move the row, or fail where the schema refuses the move."""
        w, new = self.words, self.new_row(s, p, end)
        nothing = same(new.state, w.state.none)
        refused = both(w.constraints, no(self.legal(self.row(s, p).state, new.state)), no(nothing))
        following = first(
            (nothing, choose(self.does(p, "roll_back"), w.place.rollback, w.place.commit)),
            (refused, w.place.rollback),
            (self.does(p, "roll_back"), w.place.rollback),
            (both(self.inserts(s, p), self._updates_first, self.requests(p)), w.place.insert),
            otherwise=w.place.commit,
        )
        written = s.but(
            holds=s.holds.with_value(p, value=either(s.holds(p), no(nothing))),
            broken=s.broken.with_value(p, value=both(refused, no(nothing))),
            wrote_row=s.wrote_row.with_value(p, value=choose(either(refused, nothing), w.no_row, new)),
        )
        return self.goes(written, p, following)

    def update(self, s: State, p: Term, end: Term) -> Step:
        """UPDATE payments: waits while another has the lock. A window ends after it begins."""
        waits = self.locked_by_another(s, p)
        waiting = s.but(waits=s.waits.with_value(p, value=True))
        ends = implies(self.does(p, "authorize"), self.words.before(self.instant(s, p), end))
        return Step(
            both(self.sends(s, p, self.words.place.update), ends),
            _either(waits, waiting, self._updates(s, p, end), p),
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
        if self._updates_first:
            return self.goes(written, p, choose(refused, place.rollback, place.commit))
        # A weakened protocol commits the attempt by itself, and moves the payment afterwards.
        committed = self._stores(written, p)
        committed = committed.but(
            wrote=committed.wrote.with_value(p, value=w.no_attempt),
            holds=committed.holds.with_value(p, value=both(s.holds(p), self.options.commit_last)),
        )
        following = choose(self.moves(s, p), place.update, place.commit)
        return self.goes(committed, p, choose(refused, place.rollback, following))

    def insert(self, s: State, p: Term, end: Term) -> Step:
        """INSERT INTO capture_attempts: waits for an insertion that it may conflict with."""
        waits = self.contended(s, p, end)
        waiting = s.but(waits=s.waits.with_value(p, value=True))
        return Step(
            self.sends(s, p, self.words.place.insert), _either(waits, waiting, self._inserts(s, p, end), p)
        )

    def wake(self, s: State, p: Term, end: Term) -> Step:
        """A statement that waited goes on."""
        place = self.words.place
        inserting, updating = same(s.at(p), place.insert), same(s.at(p), place.update)
        ready = choose(inserting, no(self.contended(s, p, end)), no(self.locked_by_another(s, p)))
        awake = s.but(waits=s.waits.with_value(p, value=False))
        seen = self._reads_row(self._reads_in_lock(awake, p, True), p)
        granted = self.goes(seen.but(holds=seen.holds.with_value(p, value=True)), p, self.after_lock(p))
        written = _either(inserting, self._inserts(awake, p, end), self._updates(awake, p, end), p)
        ends = implies(both(updating, self.does(p, "authorize")), self.words.before(self.instant(s, p), end))
        return Step(both(s.waits(p), ready, ends), _either(either(inserting, updating), written, granted, p))

    # ---- the end of a transaction, and the answer --------------------------------------------------------

    def _stores(self, s: State, p: Term) -> State:
        """What a client wrote becomes what is committed."""
        w, of, key = self.words, self.words.fixed.of(p), self.words.fixed.key(p)
        row, attempt = s.wrote_row(p), s.wrote(p)
        return s.but(
            row=s.row.with_value(of, value=choose(same(row.state, w.state.none), self.row(s, p), row)),
            under=s.under.with_value(
                of, key, value=choose(same(attempt.outcome, w.outcome.none), s.under(of, key), attempt)
            ),
        )

    def _kept(self, s: State) -> State:
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
        stored = self._stores(s, p)
        kept = self._kept(stored)
        if not self.options.replays_wait:
            replay = both(self.does(p, "capture"), self.decision(s, p, self.words.zero).replayed)
            kept = replace(
                stored,
                kept_row=_map_of(replay, stored.kept_row, stored.row),
                kept_under=_map_of(replay, stored.kept_under, stored.under),
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
            self._kept(s.but(row=s.row.with_value(of, value=born))), p, w.told(w.outcome.created)
        )
        return Step(
            self.sends(s, p, w.place.create), _either(is_new, created, self.goes(s, p, w.place.look), p)
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

    # ---- what goes wrong ---------------------------------------------------------------------------------

    def under_way(self, s: State, p: Term) -> Term:
        """Whether a transaction is open."""
        place = self.words.place
        return no(among(s.at(p), place.begin, place.done, place.tick, place.read, place.create, place.look))

    def _again(self, s: State, p: Term) -> State:
        return self.goes(self.forgotten(s, p), p, self.first_place(p))

    def cut(self, s: State, p: Term, _end: Term) -> Step:
        """A transaction ends with nothing done: cut, timed out, or taken back. The client begins again."""
        return Step(self.under_way(s, p), self._again(s, p))

    def lose_answer(self, s: State, p: Term, _end: Term) -> Step:
        """A commit is carried out, and its answer is lost."""
        return Step(self.sends(s, p, self.words.place.commit), self._again(self._kept(self._stores(s, p)), p))

    def give_up_waiting(self, s: State, p: Term, _end: Term) -> Step:
        """A commit is carried out here, and the wait for the standby is given up: nobody is told."""
        return Step(self.sends(s, p, self.words.place.commit), self._again(self._stores(s, p), p))

    def lose_creation(self, s: State, p: Term, end: Term) -> Step:
        """A payment is created, and the answer is lost."""
        step = self.create(s, p, end)
        is_new = same(self.row(s, p).state, self.words.state.none)
        return Step(both(step.guard, is_new), self._again(step.after.but(answer=s.answer), p))

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
        cleared = {name: getattr(s, name).where(way, _constant(value)) for name, value in nothing.items()}
        return s.but(at=s.at.where(way, self.first_place), **cleared)

    def crash(self, s: State, p: Term, _end: Term) -> Step:
        """The database stops at once: what was committed stays, everything else is gone."""
        return Step(self.under_way(s, p), self._all_begin_again(s))

    def fail_over(self, s: State, _p: Term, _end: Term) -> Step:
        """The standby takes the database's place: what had not reached it is gone."""
        return Step(True, self._all_begin_again(s.but(row=s.kept_row, under=s.kept_under)))

    # ---- all of it ---------------------------------------------------------------------------------------

    def statements(self) -> Mapping[str, Action]:
        """What clients do, by name."""
        return {
            "begin": self.begin,
            "lock": self.lock,
            "find": self.find,
            "clock": self.read_clock,
            "due": self.lock_due,
            "update": self.update,
            "insert": self.insert,
            "wake": self.wake,
            "commit": self.commit,
            "rollback": self.rollback,
            "create": self.create,
            "look": self.look,
            "read": self.read,
            "tick": self.tick,
        }

    def faults(self) -> Mapping[str, Action]:
        """What goes wrong, by name."""
        return {
            "cut": self.cut,
            "lose the answer": self.lose_answer,
            "lose the creation's answer": self.lose_creation,
            "give up waiting": self.give_up_waiting,
            "crash": self.crash,
            "fail over": self.fail_over,
        }


def _constant(value: Term) -> Callable[..., Term]:
    return lambda *_: value


def _map_of(condition: Term, one: Map, other: Map) -> Map:
    """One map if the condition holds, and otherwise the other."""
    return other.where(lambda *_: condition, one)


def _either(condition: Term, one: State, other: State, _p: Term) -> State:
    """One state if the condition holds, and otherwise the other."""
    if condition is True or condition is False:
        return one if condition else other
    chosen = {
        name: _map_of(condition, value, getattr(other, name))
        for name, value in vars(one).items()
        if isinstance(value, Map)
    }
    return State(now=choose(condition, one.now, other.now), **chosen)
