"""The inductive invariant: what is so in every state that any number of clients can reach.

Each conjunct is a formula over all clients, payments and keys, with the words for it. `CONJUNCTS` imply what
the specification asks of a state (`PROPERTIES`); what it asks of a step is in `STEP_PROPERTIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from payments_verify.proof.logic import Map, Term, among, both, differ, either, implies, no, same
from payments_verify.proof.protocol import Protocol
from payments_verify.proof.vocabulary import RECORDED, Attempt, Row, State

Says = Callable[[Protocol, State], Term]
SaysOfStep = Callable[[Protocol, State, State, Term], Term]
"""Of the state before, the state after, and the client whose step it was."""


@dataclass(frozen=True)
class Conjunct:
    """One part of the invariant, or a property.

    Attributes:
        name: its name.
        words: what it says.
        says: the formula.
        invariants: the ids of the specification's invariants that it is about.
        needs_order: whether it holds only while the clock does not step back.
    """

    name: str
    words: str
    says: Says
    invariants: Sequence[str] = ()
    needs_order: bool = False


@dataclass(frozen=True)
class StepProperty:
    """What holds of every step."""

    name: str
    words: str
    says: SaysOfStep
    invariants: Sequence[str] = ()
    needs_order: bool = False


_HELD = ("find", "clock", "update", "insert", "commit", "rollback")
_READ = ("update", "insert", "commit")


def _at(m: Protocol, s: State, p: Term, *places: str) -> Term:
    return among(s.at(p), *(getattr(m.words.place, each) for each in places))


def _not_after(m: Protocol, one: Term, other: Term) -> Term:
    return no(m.words.before(other, one))


def _exists(m: Protocol, row: Row) -> Term:
    return differ(row.state, m.words.state.none)


def _stored(m: Protocol, attempt: Attempt) -> Term:
    return differ(attempt.outcome, m.words.outcome.none)


def _captured(m: Protocol, attempt: Attempt) -> Term:
    return same(attempt.outcome, m.words.outcome.captured)


def _clients(m: Protocol, says: Callable[[Term], Term]) -> Term:
    return m.words.every("client", says)


def _recorded(m: Protocol, outcome: Term) -> Term:
    return among(outcome, *(getattr(m.words.outcome, each) for each in RECORDED))


# ---- the lock ----------------------------------------------------------------------------------------------


def _one_holder(m: Protocol, s: State) -> Term:
    of = m.words.fixed.of
    return _clients(
        m,
        lambda p: _clients(
            m, lambda q: implies(both(s.holds(p), s.holds(q), same(of(p), of(q))), same(p, q))
        ),
    )


def _holders_are_midway(m: Protocol, s: State) -> Term:
    return _clients(
        m,
        lambda p: implies(s.holds(p), both(_at(m, s, p, *_HELD), no(s.waits(p)), _exists(m, m.row(s, p)))),
    )


def _waiting_statements(m: Protocol, s: State) -> Term:
    return _clients(
        m, lambda p: implies(s.waits(p), both(_at(m, s, p, "lock", "update"), _exists(m, m.row(s, p))))
    )


def _places_of_each(m: Protocol, s: State) -> Term:
    """Where a client can be, by what it does."""

    def says(p: Term) -> Term:
        return both(
            implies(m.does(p, "create"), _at(m, s, p, "create", "look", "done")),
            implies(m.does(p, "read"), _at(m, s, p, "read", "done")),
            implies(m.does(p, "tick"), _at(m, s, p, "tick", "done")),
            implies(m.does(p, "capture"), _at(m, s, p, "begin", "lock", "find", "clock", *_READ, "done")),
            implies(
                m.does(p, "authorize", "fail"),
                _at(m, s, p, "begin", "lock", "clock", "update", "commit", "done"),
            ),
            implies(
                m.does(p, "sweep"),
                _at(m, s, p, "begin", "due", "clock", "update", "commit", "rollback", "done"),
            ),
            implies(m.holder(p), _at(m, s, p, "begin", "lock", "update", "commit", "rollback", "done")),
        )

    return _clients(m, says)


def _deciders_hold(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        request = both(m.requests(p), _at(m, s, p, *_HELD))
        sweep = both(m.does(p, "sweep"), _at(m, s, p, *_HELD))
        return implies(either(request, sweep), either(s.holds(p), no(_exists(m, s.saw(p)))))

    return _clients(m, says)


def _writers_hold(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        wrote = either(_exists(m, s.wrote_row(p)), _stored(m, s.wrote(p)))
        return both(
            implies(wrote, both(s.holds(p), _at(m, s, p, "insert", "commit", "rollback"))),
            implies(no(_exists(m, s.wrote_row(p))), same(s.wrote_row(p), m.words.no_row)),
        )

    return _clients(m, says)


# ---- what was read -----------------------------------------------------------------------------------------


def _what_was_seen_is_there(m: Protocol, s: State) -> Term:
    return _clients(
        m,
        lambda p: implies(
            both(s.holds(p), either(m.requests(p), m.does(p, "sweep"))), same(s.saw(p), m.row(s, p))
        ),
    )


def _what_was_found_is_there(m: Protocol, s: State) -> Term:
    return _clients(
        m,
        lambda p: implies(
            both(s.holds(p), m.requests(p), _at(m, s, p, "clock", *_READ)),
            same(s.found(p), m.stored(s, p)),
        ),
    )


def _others_find_nothing(m: Protocol, s: State) -> Term:
    return _clients(m, lambda p: implies(no(m.does(p, "capture")), same(s.found(p), m.words.no_attempt)))


def _decided_after_the_grant(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        reads = either(m.requests(p), m.does(p, "sweep"))
        read, t = both(reads, _at(m, s, p, *_READ)), m.instant(s, p)
        return both(
            _not_after(m, s.granted(p), s.now),
            implies(read, both(_not_after(m, s.granted(p), t), _not_after(m, t, s.now))),
        )

    return _clients(m, says)


# ---- what was written --------------------------------------------------------------------------------------


def _moves_are_written(m: Protocol, s: State) -> Term:
    """Before it inserts and commits, a request that moves its payment has written the move, and no more."""

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
        request = both(m.requests(p), _at(m, s, p, "insert", "commit"))
        return both(
            implies(both(request, m.moves(s, p)), moved),
            implies(both(request, no(m.moves(s, p))), same(wrote, w.no_row)),
        )

    return _clients(m, says)


def _updates_move(m: Protocol, s: State) -> Term:
    return _clients(m, lambda p: implies(both(m.requests(p), _at(m, s, p, "update")), m.moves(s, p)))


def _inserts_store(m: Protocol, s: State) -> Term:
    return _clients(m, lambda p: implies(both(m.requests(p), _at(m, s, p, "insert")), m.inserts(s, p)))


def _attempts_are_written(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        decided = m.decision(s, p, m.words.zero).attempt
        request = both(m.requests(p), _at(m, s, p, "commit"))
        return both(
            implies(both(request, m.inserts(s, p)), same(s.wrote(p), decided)),
            implies(no(both(request, m.inserts(s, p))), same(s.wrote(p), m.words.no_attempt)),
        )

    return _clients(m, says)


def _sweeps_are_due(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        w, saw = m.words, s.saw(p)
        due = both(same(saw.state, w.state.authorized), no(m.open_at(saw, m.instant(s, p))))
        sweep = m.does(p, "sweep")
        written = m.failed(saw, w.reason.expired, m.instant(s, p))
        return both(
            implies(both(sweep, _exists(m, saw)), same(saw.state, w.state.authorized)),
            implies(both(sweep, _at(m, s, p, "update", "commit")), due),
            implies(both(sweep, _at(m, s, p, "commit")), same(s.wrote_row(p), written)),
        )

    return _clients(m, says)


def _outsiders_void(m: Protocol, s: State) -> Term:
    """What a session outside the service has written: nothing, or a void of what was authorized."""

    def says(p: Term) -> Term:
        w, row, wrote = m.words, m.row(s, p), s.wrote_row(p)
        voided = m.failed(row, w.reason.voided, wrote.ended_at)
        void = both(same(row.state, w.state.authorized), same(wrote, voided))
        return implies(both(m.holder(p), _exists(m, wrote)), void)

    return _clients(m, says)


def _nothing_breaks(m: Protocol, s: State) -> Term:
    return _clients(
        m,
        lambda p: both(no(s.broken(p)), differ(s.answer(p).outcome, m.words.outcome.internal_error)),
    )


# ---- what is stored: once as it is, and once as the standby has it -----------------------------------------


def _of_stored(says: Callable[[Protocol, Map, Map], Term]) -> Says:
    return lambda m, s: both(says(m, s.row, s.under), says(m, s.kept_row, s.kept_under))


def _rows(m: Protocol, row: Map, _under: Map) -> Term:
    w = m.words

    def says(payment: Term) -> Term:
        r: Row = row(payment)
        state = w.state
        born = replace(w.no_row, state=state.pending, amount=r.amount)
        windowed = among(r.state, state.authorized, state.captured, state.failed)
        expired = same(r.reason, w.reason.expired)
        return both(
            implies(no(_exists(m, r)), same(r, w.no_row)),
            implies(same(r.state, state.pending), same(r, born)),
            implies(windowed, w.before(r.authorized_at, r.expires_at)),
            implies(same(r.state, state.authorized), same(r.ended_at, w.zero)),
            same(same(r.state, state.failed), differ(r.reason, w.reason.none)),
            implies(expired, no(w.before(r.ended_at, r.expires_at))),
        )

    return w.every("payment", says)


def _captures(m: Protocol, row: Map, under: Map) -> Term:
    w = m.words

    def says(payment: Term, key: Term) -> Term:
        r, attempt = row(payment), under(payment, key)
        return implies(
            _captured(m, attempt),
            both(
                same(r.state, w.state.captured),
                same(attempt.amount, r.amount),
                same(attempt.decided_at, r.ended_at),
                w.before(attempt.decided_at, r.expires_at),
            ),
        )

    return w.every("payment", lambda payment: w.every("key", lambda key: says(payment, key)))


def _captured_by_someone(m: Protocol, row: Map, under: Map) -> Term:
    w = m.words
    return w.every(
        "payment",
        lambda payment: implies(
            same(row(payment).state, w.state.captured),
            w.some("key", lambda key: _captured(m, under(payment, key))),
        ),
    )


def _once(m: Protocol, _row: Map, under: Map) -> Term:
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda one: w.every(
                "key",
                lambda other: implies(
                    both(_captured(m, under(payment, one)), _captured(m, under(payment, other))),
                    same(one, other),
                ),
            ),
        ),
    )


def _attempts(m: Protocol, row: Map, under: Map) -> Term:
    w = m.words

    def says(payment: Term, key: Term) -> Term:
        attempt = under(payment, key)
        return both(
            implies(no(_stored(m, attempt)), same(attempt, w.no_attempt)),
            implies(_stored(m, attempt), both(_recorded(m, attempt.outcome), _exists(m, row(payment)))),
        )

    return w.every("payment", lambda payment: w.every("key", lambda key: says(payment, key)))


def _granted_in_time(m: Protocol, row: Map, under: Map) -> Term:
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                _captured(m, under(payment, key)),
                w.before(under(payment, key).granted, row(payment).expires_at),
            ),
        ),
    )


def _past(m: Protocol, s: State, row: Map, under: Map) -> Term:
    w = m.words

    def stored(payment: Term, key: Term) -> Term:
        attempt = under(payment, key)
        ordered = _not_after(m, attempt.granted, attempt.decided_at)
        return both(ordered, _not_after(m, attempt.decided_at, s.now))

    def says(payment: Term) -> Term:
        r = row(payment)
        rows = both(_not_after(m, r.authorized_at, s.now), _not_after(m, r.ended_at, s.now))
        return both(rows, w.every("key", lambda key: stored(payment, key)))

    return w.every("payment", says)


def _stored_in_the_past(m: Protocol, s: State) -> Term:
    written = _clients(m, lambda p: _not_after(m, s.wrote_row(p).ended_at, s.now))
    return both(written, _past(m, s, s.row, s.under), _past(m, s, s.kept_row, s.kept_under))


def _standby_is_behind(m: Protocol, s: State) -> Term:
    """What the standby has, the primary has."""
    w = m.words
    rows = w.every(
        "payment",
        lambda payment: implies(
            _exists(m, s.kept_row(payment)), same(s.kept_row(payment).amount, s.row(payment).amount)
        ),
    )
    attempts = w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                _stored(m, s.kept_under(payment, key)),
                same(s.under(payment, key), s.kept_under(payment, key)),
            ),
        ),
    )
    return both(rows, attempts)


# ---- what clients were told --------------------------------------------------------------------------------


def _answers_stay_true(m: Protocol, s: State) -> Term:
    def says(p: Term) -> Term:
        w, told = m.words, s.answer(p)
        under = s.kept_under(w.fixed.of(p), w.fixed.key(p))
        amount = w.fixed.amount(p)
        return implies(
            m.does(p, "capture"),
            both(
                implies(
                    _recorded(m, told.outcome),
                    both(same(under.outcome, told.outcome), same(under.amount, amount)),
                ),
                implies(
                    same(told.outcome, w.outcome.key_reused),
                    both(_stored(m, under), differ(under.amount, amount)),
                ),
            ),
        )

    return _clients(m, says)


def _the_answered_are_done(m: Protocol, s: State) -> Term:
    return _clients(
        m,
        lambda p: implies(differ(s.answer(p).outcome, m.words.outcome.none), _at(m, s, p, "done")),
    )


def _one_is_told(m: Protocol, s: State) -> Term:
    w = m.words

    def told(p: Term) -> Term:
        answer = s.answer(p)
        return both(m.does(p, "capture"), same(answer.outcome, w.outcome.captured), no(answer.replayed))

    return _clients(
        m,
        lambda p: _clients(
            m, lambda q: implies(both(told(p), told(q), same(w.fixed.of(p), w.fixed.of(q))), same(p, q))
        ),
    )


CONJUNCTS: Sequence[Conjunct] = (
    Conjunct("one holder", "at most one client has the lock of a payment", _one_holder),
    Conjunct(
        "holders are midway",
        "who has a lock is within its transaction, and does not wait",
        _holders_are_midway,
    ),
    Conjunct("waiting statements", "only statements that lock a row wait", _waiting_statements),
    Conjunct("places", "each client sends the statements of what it does", _places_of_each),
    Conjunct("deciders hold", "who decides about a payment that it has seen has its lock", _deciders_hold),
    Conjunct("writers hold", "who has written without committing has the lock", _writers_hold),
    Conjunct(
        "seen is there",
        "what the holder has seen of the payment is what is committed",
        _what_was_seen_is_there,
    ),
    Conjunct(
        "found is there",
        "what the holder has found under its key is what is committed",
        _what_was_found_is_there,
    ),
    Conjunct("others find nothing", "only captures look a key up", _others_find_nothing),
    Conjunct(
        "decided after the grant",
        "the instant that decides lies between the lock's grant and now",
        _decided_after_the_grant,
        needs_order=True,
    ),
    Conjunct("updates move", "an UPDATE is sent for a decision that moves the payment", _updates_move),
    Conjunct("inserts store", "an INSERT is sent for a decision that is new", _inserts_store),
    Conjunct(
        "moves are written",
        "before it commits, a request has written its move, and no other",
        _moves_are_written,
    ),
    Conjunct(
        "attempts are written", "before it commits, a capture has written its attempt", _attempts_are_written
    ),
    Conjunct("sweeps are due", "the sweeper writes only what was authorized and is due", _sweeps_are_due),
    Conjunct("outsiders void", "a session outside writes only a void of what is authorized", _outsiders_void),
    Conjunct(
        "nothing breaks",
        "no statement is refused by the schema, and nobody is told of an error",
        _nothing_breaks,
        ["I9"],
    ),
    Conjunct("rows", "a window is not empty, and nothing expires before its end", _of_stored(_rows), ["I5"]),
    Conjunct(
        "captures",
        "a successful attempt belongs to a captured payment, of its amount, decided within its window",
        _of_stored(_captures),
        ["I1", "I5", "I6"],
    ),
    Conjunct(
        "captured by someone",
        "a captured payment has a successful attempt",
        _of_stored(_captured_by_someone),
        ["I6"],
    ),
    Conjunct("once", "at most one attempt of a payment is successful", _of_stored(_once), ["I1"]),
    Conjunct(
        "attempts",
        "what is stored under a key is a decided capture of a payment",
        _of_stored(_attempts),
        ["I11"],
    ),
    Conjunct(
        "granted in time",
        "the lock of a successful capture was granted within the window",
        _of_stored(_granted_in_time),
        ["I5"],
        needs_order=True,
    ),
    Conjunct(
        "stored in the past",
        "what is written was decided after its lock was granted, and before now",
        _stored_in_the_past,
        ["I5"],
        needs_order=True,
    ),
    Conjunct("standby is behind", "what the standby has is what the primary has", _standby_is_behind, ["I7"]),
    Conjunct(
        "answers stay true",
        "what a capture was told is stored under its key, on the standby too",
        _answers_stay_true,
        ["I3", "I4", "I7"],
    ),
    Conjunct("the answered are done", "who was answered sends nothing more", _the_answered_are_done),
    Conjunct(
        "one is told",
        "at most one capture of a payment is told, first, that it succeeded",
        _one_is_told,
        ["I1"],
    ),
)
"""The invariant."""


# ---- what holds of every step ------------------------------------------------------------------------------


def _moves_are_legal(m: Protocol, s: State, after: State, _p: Term) -> Term:
    def says(payment: Term) -> Term:
        old, new = s.row(payment), after.row(payment)
        stays = both(
            same(new.amount, old.amount),
            implies(
                differ(old.state, m.words.state.pending),
                both(same(new.authorized_at, old.authorized_at), same(new.expires_at, old.expires_at)),
            ),
        )
        return either(
            same(new, old),
            both(m.legal(old.state, new.state), either(no(_exists(m, old)), stays)),
        )

    return m.words.every("payment", says)


def _attempts_stay(m: Protocol, s: State, after: State, _p: Term) -> Term:
    w = m.words
    return w.every(
        "payment",
        lambda payment: w.every(
            "key",
            lambda key: implies(
                _stored(m, s.under(payment, key)), same(after.under(payment, key), s.under(payment, key))
            ),
        ),
    )


def _answers_stay(m: Protocol, s: State, after: State, _p: Term) -> Term:
    return _clients(
        m,
        lambda p: implies(
            differ(s.answer(p).outcome, m.words.outcome.none), same(after.answer(p), s.answer(p))
        ),
    )


def _linearized(m: Protocol, s: State, after: State, p: Term) -> Term:
    """A transaction that ends is one step of the rule on what is committed; and so is its answer."""
    of, key = m.words.fixed.of(p), m.words.fixed.key(p)
    done = m.decide(m.row(s, p), m.stored(s, p), p, m.instant(s, p), s.granted(p), after.row(of).expires_at)
    answered = implies(
        differ(after.answer(p).outcome, s.answer(p).outcome),
        both(same(after.answer(p).outcome, done.outcome), same(after.answer(p).replayed, done.replayed)),
    )
    stored = both(
        same(after.row(of), done.row),
        implies(m.does(p, "capture"), same(after.under(of, key), done.attempt)),
    )
    ends = both(m.requests(p), s.holds(p), _at(m, s, p, "commit"), no(_at(m, after, p, "commit")))
    unchanged = both(
        same(after.row(of), m.row(s, p)),
        implies(m.does(p, "capture"), same(after.under(of, key), m.stored(s, p))),
        same(after.answer(p), s.answer(p)),
    )
    return implies(ends, either(unchanged, both(stored, answered)))


def _decided_between(m: Protocol, s: State, after: State, p: Term) -> Term:
    ends = both(m.requests(p), s.holds(p), _at(m, s, p, "commit"), no(_at(m, after, p, "commit")))
    return implies(
        ends, both(_not_after(m, s.granted(p), m.instant(s, p)), _not_after(m, m.instant(s, p), s.now))
    )


def _nobody_else_moves_it(m: Protocol, s: State, after: State, p: Term) -> Term:
    """While a client holds the lock, nobody else changes its payment: the grant is a linearization point."""
    w = m.words

    def says(q: Term) -> Term:
        of = w.fixed.of(q)
        kept = both(
            same(after.row(of), s.row(of)),
            w.every("key", lambda key: same(after.under(of, key), s.under(of, key))),
        )
        return implies(both(differ(q, p), s.holds(q), after.holds(q)), kept)

    return _clients(m, says)


def _reads_are_current(m: Protocol, s: State, after: State, p: Term) -> Term:
    told = after.answer(p)
    return implies(
        both(m.does(p, "read"), differ(told.outcome, s.answer(p).outcome)),
        both(same(told.state, m.row(s, p).state), same(told.as_of, s.now)),
    )


def _only_decisions_move(m: Protocol, s: State, after: State, p: Term) -> Term:
    """A payment moves by a decision that says so, by its creation, by a sweep or by a session outside."""
    w = m.words
    outcome = m.decision(s, p, w.zero).outcome
    decided = both(m.requests(p), among(outcome, w.outcome.authorized, w.outcome.captured, w.outcome.failed))
    return w.every(
        "payment",
        lambda payment: either(
            same(after.row(payment), s.row(payment)),
            decided,
            m.does(p, "create", "sweep"),
            m.holder(p),
        ),
    )


STEP_PROPERTIES: Sequence[StepProperty] = (
    StepProperty(
        "moves are legal",
        "a payment moves as it may, and what was recorded of it stays",
        _moves_are_legal,
        ["I2"],
    ),
    StepProperty(
        "attempts stay", "what is stored under a key is never changed", _attempts_stay, ["I3", "I11"]
    ),
    StepProperty("answers stay", "who was answered is not answered otherwise", _answers_stay, ["I3"]),
    StepProperty("linearized", "a transaction that ends is one step of the rule", _linearized, ["I10"]),
    StepProperty(
        "decided in between",
        "the instant of that step lies between the lock's grant and the commit",
        _decided_between,
        ["I5", "I10"],
        needs_order=True,
    ),
    StepProperty(
        "nobody else moves it",
        "from the lock's grant on nobody else changes the payment: the grant is a linearization point",
        _nobody_else_moves_it,
        ["I10"],
    ),
    StepProperty("reads are current", "a read shows what is committed", _reads_are_current, ["I8"]),
    StepProperty(
        "only decisions move", "a payment moves by a decision that moves it", _only_decisions_move, ["I11"]
    ),
)
