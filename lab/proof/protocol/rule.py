"""The rule: what is right, for one request at one instant."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.proof.logic import Record, Term, among, choose, differ, first, no, same
from lab.proof.vocabulary import Attempt, Options, Row, State, Vocabulary


@dataclass(frozen=True)
class Done(Record):
    """A decision: the payment afterwards, what is stored under the key, and the answer."""

    row: Row
    attempt: Attempt
    outcome: Term
    replayed: Term


class Rule:
    """Who the clients are, and what is decided.

    Args:
        words: the terms.
        options: the protocol of the service, or a weakened one.
    """

    def __init__(self, words: Vocabulary, options: Options) -> None:
        self.words = words
        self.options = options

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
