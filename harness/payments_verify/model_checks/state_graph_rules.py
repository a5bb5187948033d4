"""What must hold on every state and every transition of the bounded model.

The rules speak of one transition at a time. They hold on every path because they hold on every edge that can
be reached: that a terminal state stays, say, follows from no edge leaving one. They use the model's names and
tables (``LEGAL_MOVES``, ``RECORDED``), but none of the functions that decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from payments_model import (
    LEGAL_MOVES,
    MAX_AMOUNT,
    MIN_AMOUNT,
    RECORDED,
    TERMINAL,
    Attempt,
    Authorized,
    Capture,
    Command,
    Outcome,
    Payment,
    Record,
    State,
    Step,
    state_of,
    violations,
)

CHANGING = (Outcome.CREATED, Outcome.AUTHORIZED, Outcome.CAPTURED, Outcome.FAILED, Outcome.EXPIRED)
"""The answers that say that the payment has changed, unless they are replayed."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One command, decided.

    Attributes:
        before: what was stored before.
        command: what was asked.
        key: the capture's idempotency key; ``None`` for the other commands.
        now: the instant of the decision, in µs.
        after: what is stored afterwards.
        done: the step with its answer.
    """

    before: Record
    command: Command
    key: str | None
    now: int
    after: Record
    done: Step

    @property
    def decides(self) -> bool:
        """Whether this is the decision of a capture, to be stored under its key."""
        return self.key is not None and not self.done.replayed and self.done.outcome in RECORDED


def broken_rules(transition: Transition) -> list[str]:
    """The rules that the transition breaks, or the state that it leads to, each as ``"I1: why"``."""
    found = [
        *_moves(transition),
        *_attempts(transition),
        *_known_key(transition),
        *_changes(transition),
        *_refusals(transition),
        *_window(transition),
    ]
    if transition.after != transition.before:
        found += violations(transition.after)
    return found


def _moves(transition: Transition) -> Iterator[str]:
    """I2: legal moves only; terminal states stay; what is known of a payment stays."""
    before, after = transition.before.payment, transition.after.payment
    if before == after:
        return
    if before is None or after is None:
        if before is not None or (after is not None and state_of(after) is not State.PENDING):
            yield f"I2: from {_name(before)} to {_name(after)} is no legal move"
        return
    states = state_of(before), state_of(after)
    if states[0] in TERMINAL:
        yield f"I2: {_name(before)} is terminal, and the payment changed"
    elif states not in LEGAL_MOVES:
        yield f"I2: from {_name(before)} to {_name(after)} is no legal move"
    shared = {field.name for field in fields(before)} & {field.name for field in fields(after)}
    for name in sorted(shared):
        if getattr(before, name) != getattr(after, name):
            yield f"I2: {name} changed"


def _attempts(transition: Transition) -> Iterator[str]:
    """I3: attempts never change or vanish, and a decision, and nothing else, adds one under its key."""
    before, after, done = transition.before.attempts, transition.after.attempts, transition.done
    if not before <= after:
        yield "I3: a stored attempt changed or vanished"
    decided: set[tuple[str, Attempt]] = set()
    if transition.key is not None and transition.decides and isinstance(transition.command, Capture):
        decided = {(transition.key, Attempt(transition.command.amount, done.outcome, transition.now))}
    if after - before != decided:
        yield "I3: what is newly stored is not exactly the capture that was decided"


def _known_key(transition: Transition) -> Iterator[str]:
    """I3 and I4: a known key repeats its answer to the same request, and refuses every other."""
    command, done = transition.command, transition.done
    recorded = None if transition.key is None else transition.before.attempt(transition.key)
    repeats = isinstance(command, Capture) and recorded is not None and recorded.amount == command.amount
    if done.replayed != repeats:
        yield f"I3: {'a replay was decided anew' if repeats else 'replayed what is no repetition'}"
    if recorded is None or not isinstance(command, Capture):
        if done.outcome is Outcome.KEY_REUSED:
            yield "I4: a key is called reused that is not known"
    elif repeats:
        if done.outcome is not recorded.outcome or transition.after != transition.before:
            yield "I3: a replay did not repeat the stored answer and leave all as it was"
    elif MIN_AMOUNT <= command.amount <= MAX_AMOUNT and done.outcome is not Outcome.KEY_REUSED:
        yield "I4: a known key was accepted with another request"


def _changes(transition: Transition) -> Iterator[str]:
    """I11: exactly the answers that say so change the payment; the answer is about what is stored."""
    before, after, done = transition.before.payment, transition.after.payment, transition.done
    says_changed = done.outcome in CHANGING and not done.replayed
    if says_changed and before == after:
        yield f"I11: the answer {done.outcome.name} changed nothing"
    if not says_changed and before != after:
        yield f"I11: the answer {done.outcome.name} changed the payment"
    stored = None if transition.key is None else transition.after.attempt(transition.key)
    if done.payment != after or done.attempt != stored:
        yield "I6: the step answers something else than what is stored"


def _refusals(transition: Transition) -> Iterator[str]:
    """I11: no more refusals are stored than may be, and only for want of room is a decision not stored."""
    before, done, bound = transition.before, transition.done, transition.before.max_refusals
    stored = sum(attempt.outcome is not Outcome.CAPTURED for _, attempt in before.attempts)
    is_full = bound is not None and stored >= bound
    if transition.decides and done.outcome is not Outcome.CAPTURED and is_full:
        yield "I11: a refusal was stored beyond the bound"
    if done.outcome is Outcome.TOO_MANY_REFUSALS:
        if not is_full:
            yield "I11: a refusal found no room, and there was some"
        if transition.after != before:
            yield "I11: what was not decided changed something"
        if _would_succeed(transition):
            yield "I11: want of room refused what would succeed"


def _would_succeed(transition: Transition) -> bool:
    payment, command = transition.before.payment, transition.command
    return (
        isinstance(payment, Authorized)
        and isinstance(command, Capture)
        and command.amount == payment.amount
        and transition.now < payment.capture_expires_at
    )


def _window(transition: Transition) -> Iterator[str]:
    """I5: captured strictly before the window's end, expired from then on; never captured once too late."""
    payment, outcome, now = transition.before.payment, transition.done.outcome, transition.now
    if transition.done.replayed or not isinstance(payment, Authorized):
        return
    if outcome is Outcome.CAPTURED:
        if now >= payment.capture_expires_at:
            yield "I5: captured when the window had ended"
        if any(attempt.outcome is Outcome.WINDOW_EXPIRED for _, attempt in transition.before.attempts):
            yield "I5: captured after a capture was refused as too late"
    if outcome in (Outcome.EXPIRED, Outcome.WINDOW_EXPIRED) and now < payment.capture_expires_at:
        yield "I5: called expired while the window was open"


def describe(transition: Transition) -> str:
    """The transition as one step of a program: time, command, answer; and below it what is then stored."""
    key = "" if transition.key is None else f" under key {transition.key}"
    replayed = " (replayed)" if transition.done.replayed else ""
    asked = f"at {transition.now}: {transition.command}{key}"
    return f"{asked} -> {transition.done.outcome.name}{replayed}\n    {describe_record(transition.after)}"


def describe_record(record: Record) -> str:
    """What is stored, in one line."""
    shown = "no payment" if record.payment is None else str(record.payment)
    for key, attempt in sorted(record.attempts, key=lambda stored: (stored[0], stored[1].decided_at)):
        shown += f"; key {key}: {attempt.amount} -> {attempt.outcome.name} at {attempt.decided_at}"
    return shown


def _name(payment: Payment | None) -> str:
    return "no payment" if payment is None else state_of(payment).name.lower()
