"""Broken models: the real one, but for one kind of transition. Each breaks a rule, and is named after how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from payments_model import (
    Attempt,
    Authorized,
    Capture,
    Captured,
    Command,
    Create,
    Expire,
    Fail,
    Failed,
    FailureReason,
    Outcome,
    Payment,
    Pending,
    Read,
    Record,
    Step,
    apply,
)
from payments_verify.model_checks.state_graph import Apply
from payments_verify.model_checks.state_graph_rules import Transition

Decided: TypeAlias = tuple[Record, Step]
Change: TypeAlias = Callable[[Transition], Decided | None]

MUTANTS: dict[str, tuple[Apply, str]] = {}
"""By name: the broken ``apply``, and the rule that it breaks."""


def broken(change: Change) -> Apply:
    """The model's ``apply`` with each transition changed as ``change`` says; ``None`` leaves it."""

    def apply_broken(record: Record, command: Command, now: int, key: str | None = None) -> Decided:
        after, done = apply(record, command, now, key)
        return change(Transition(record, command, key, now, after, done)) or (after, done)

    return apply_broken


def breaks(rule: str) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        MUTANTS[change.__name__] = broken(change), rule
        return change

    return add


def moved(real: Transition, payment: Payment | None, outcome: Outcome) -> Decided:
    return replace(real.before, payment=payment), replace(real.done, payment=payment, outcome=outcome)


def stored(real: Transition, outcome: Outcome, payment: Payment | None) -> Decided:
    """A decision of a capture with another outcome, stored under its key in place of what was there."""
    assert isinstance(real.command, Capture)
    assert real.key is not None
    attempt = Attempt(real.command.amount, outcome, real.now)
    others = frozenset(each for each in real.before.attempts if each[0] != real.key)
    return Record(payment, others | {(real.key, attempt)}), Step(payment, attempt, outcome)


def failed(payment: Authorized | Captured, now: int, reason: FailureReason) -> Failed:
    return Failed(payment.amount, payment.authorized_at, payment.capture_expires_at, now, reason)


@breaks("I2: captured is terminal, and the payment changed")
def captured_to_failed(real: Transition) -> Decided | None:
    if isinstance(real.command, Fail) and isinstance(real.before.payment, Captured):
        return moved(real, failed(real.before.payment, real.now, real.command.reason), Outcome.FAILED)
    return None


@breaks("I2: from pending to failed is no legal move")
def pending_to_failed(real: Transition) -> Decided | None:
    if isinstance(real.command, Fail) and isinstance(real.before.payment, Pending):
        never = Authorized(real.before.payment.amount, real.now, real.now + 1)
        return moved(real, failed(never, real.now, FailureReason.VOIDED), Outcome.FAILED)
    return None


@breaks("I2: from no payment to authorized is no legal move")
def created_authorized(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.CREATED:
        return moved(real, Authorized(1, real.now, real.now + 1), Outcome.CREATED)
    return None


@breaks("I2: from pending to no payment is no legal move")
def pending_vanishes(real: Transition) -> Decided | None:
    if isinstance(real.command, Expire) and isinstance(real.before.payment, Pending):
        return moved(real, None, Outcome.EXPIRED)
    return None


@breaks("I2: amount changed")
def amount_changes(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.AUTHORIZED:
        return moved(real, Authorized(3, real.now, real.now + 1), Outcome.AUTHORIZED)
    return None


@breaks("I3: a stored attempt changed or vanished")
def attempts_vanish(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.AUTHORIZED:
        return replace(real.after, attempts=frozenset()), real.done
    return None


@breaks("I3: a stored attempt changed or vanished")
def a_replay_renews_the_attempt(real: Transition) -> Decided | None:
    if real.done.replayed:
        record, done = stored(real, real.done.outcome, real.before.payment)
        if record != real.before:
            return record, replace(done, replayed=True)
    return None


@breaks("I3: what is newly stored is not exactly the capture that was decided")
def refusals_are_not_stored(real: Transition) -> Decided | None:
    if real.decides and real.done.outcome is Outcome.NOT_AUTHORIZED:
        return real.before, replace(real.done, attempt=None)
    return None


@breaks("I3: what is newly stored is not exactly the capture that was decided")
def stored_under_every_key(real: Transition) -> Decided | None:
    if real.decides and real.done.attempt is not None:
        both = frozenset((key, real.done.attempt) for key in ("a", "b"))
        return replace(real.after, attempts=both), real.done
    return None


@breaks("I3: what is newly stored is not exactly the capture that was decided")
def malformed_is_stored(real: Transition) -> Decided | None:
    if isinstance(real.command, Capture) and real.done.outcome is Outcome.MALFORMED:
        record, done = stored(real, Outcome.AMOUNT_MISMATCH, real.before.payment)
        return record, replace(done, outcome=Outcome.MALFORMED)
    return None


@breaks("I3: a replay was decided anew")
def replay_is_not_said_to_be_one(real: Transition) -> Decided | None:
    return (real.after, replace(real.done, replayed=False)) if real.done.replayed else None


@breaks("I3: a replay did not repeat the stored answer and leave all as it was")
def replay_answers_for_today(real: Transition) -> Decided | None:
    if real.done.replayed and isinstance(real.before.payment, Captured):
        return real.after, replace(real.done, outcome=Outcome.ALREADY_CAPTURED)
    return None


@breaks("I3: replayed what is no repetition")
def every_creation_is_called_a_replay(real: Transition) -> Decided | None:
    return (real.after, replace(real.done, replayed=True)) if real.done.outcome is Outcome.EXISTS else None


@breaks("I4: a known key was accepted with another request")
def a_reused_key_is_taken_for_another_amount(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.KEY_REUSED:
        return real.after, replace(real.done, outcome=Outcome.AMOUNT_MISMATCH)
    return None


@breaks("I4: a key is called reused that is not known")
def a_new_key_is_called_reused(real: Transition) -> Decided | None:
    if isinstance(real.command, Capture) and real.done.outcome is Outcome.NOT_FOUND:
        return real.after, replace(real.done, outcome=Outcome.KEY_REUSED)
    return None


@breaks("I11: the answer AMOUNT_MISMATCH changed the payment")
def a_refusal_moves(real: Transition) -> Decided | None:
    payment = real.before.payment
    if real.decides and real.done.outcome is Outcome.AMOUNT_MISMATCH and isinstance(payment, Authorized):
        return stored(real, Outcome.AMOUNT_MISMATCH, failed(payment, real.now, FailureReason.DECLINED))
    return None


@breaks("I11: the answer CREATED changed nothing")
def created_again(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.EXISTS:
        return real.after, replace(real.done, outcome=Outcome.CREATED)
    return None


@breaks("I6: the step answers something else than what is stored")
def the_answer_is_stale(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.AUTHORIZED:
        return real.after, replace(real.done, payment=real.before.payment)
    return None


@breaks("I6: captured without exactly one successful attempt, or the reverse")
def success_without_capture(real: Transition) -> Decided | None:
    if real.decides and real.done.outcome is Outcome.CAPTURED:
        return stored(real, Outcome.CAPTURED, real.before.payment)
    return None


@breaks("I6: captured without exactly one successful attempt, or the reverse")
def capture_without_success(real: Transition) -> Decided | None:
    if real.decides and real.done.outcome is Outcome.CAPTURED:
        return replace(real.after, attempts=real.before.attempts), replace(real.done, attempt=None)
    return None


@breaks("I1: more than one capture succeeded")
def captured_twice(real: Transition) -> Decided | None:
    if real.decides and real.done.outcome is Outcome.ALREADY_CAPTURED:
        return stored(real, Outcome.CAPTURED, real.before.payment)
    return None


@breaks("I5: captured when the window had ended")
def late_by_one(real: Transition) -> Decided | None:
    payment = real.before.payment
    if isinstance(payment, Authorized) and real.decides and real.now == payment.capture_expires_at:
        earlier, done = apply(real.before, real.command, real.now - 1, real.key)
        if done.outcome is Outcome.CAPTURED:
            return stored(real, Outcome.CAPTURED, earlier.payment)
    return None


@breaks("I5: called expired while the window was open")
def early_by_one(real: Transition) -> Decided | None:
    if real.done.outcome is Outcome.WINDOW_OPEN:
        earlier, done = apply(real.before, Expire(), real.now + 1)
        if done.outcome is Outcome.EXPIRED:
            return earlier, done
    return None


@breaks("I5: captured after a capture was refused as too late")
def too_late_before_the_window_begins(real: Transition) -> Decided | None:
    if real.decides and real.done.outcome is Outcome.NOT_AUTHORIZED:
        return stored(real, Outcome.WINDOW_EXPIRED, real.before.payment)
    return None


@breaks("every command has an answer: KeyError: 'captured'")
def reading_what_is_captured_raises(real: Transition) -> Decided | None:
    if isinstance(real.command, Read) and isinstance(real.before.payment, Captured):
        raise KeyError("captured")
    return None


def amount_before_window(real: Transition) -> Decided | None:
    """Swap two refusals: legal one by one, so that only the counts can tell."""
    payment = real.before.payment
    if real.decides and real.done.outcome is Outcome.WINDOW_EXPIRED and isinstance(real.command, Capture):
        assert payment is not None
        if real.command.amount != payment.amount:
            return stored(real, Outcome.AMOUNT_MISMATCH, payment)
    return None


def window_never_open(real: Transition) -> Decided | None:
    """Give an expiry that comes too early another refusal."""
    if real.done.outcome is Outcome.WINDOW_OPEN:
        return real.after, replace(real.done, outcome=Outcome.ALREADY_AUTHORIZED)
    return None


def create_is_malformed(real: Transition) -> Decided | None:
    """Refuse every creation, so that nothing can be reached."""
    if isinstance(real.command, Create):
        return real.before, replace(real.done, payment=real.before.payment, outcome=Outcome.MALFORMED)
    return None
