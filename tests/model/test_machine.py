"""A stateful machine over the model itself: programs drawn by Hypothesis, invariants after every step.

It draws what the bounded exploration leaves out: several payments, longer programs, and amounts, windows and
instants of every size.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from payments_model import (
    MAX_AMOUNT,
    MAX_STORED_REFUSALS,
    MAX_WINDOW,
    RECORDED,
    TERMINAL,
    Authorize,
    Authorized,
    Capture,
    Captured,
    Command,
    Create,
    Expire,
    Fail,
    FailureReason,
    Outcome,
    Read,
    Record,
    Step,
    apply,
    state_of,
    violations,
)
from payments_verify.model_checks.state_graph import Apply
from payments_verify.payments.observed.observations import SUCCESSES
from tests.model.broken_models import MUTANTS

AMOUNTS = st.integers(1, MAX_AMOUNT) | st.sampled_from([1, 500, 501, MAX_AMOUNT])
MALFORMED_AMOUNTS = st.integers(max_value=0) | st.integers(min_value=MAX_AMOUNT + 1)
WINDOWS = st.integers(1, 10) | st.integers(1, MAX_WINDOW) | st.just(MAX_WINDOW)
ROOMS = st.sampled_from([1, 2, MAX_STORED_REFUSALS])
"""How many refusals of a payment may be stored: the bound as it is, and some that a program reaches."""
MALFORMED_WINDOWS = st.integers(max_value=0) | st.integers(min_value=MAX_WINDOW + 1)
EFFORT = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class ModelMachine(RuleBasedStateMachine):
    """Several payments, commands in any order, and a clock that moves on."""

    apply_command: Apply = staticmethod(apply)
    seen: Counter[Outcome]

    payments = Bundle("payments")
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.records: list[Record] = []
        self.earlier: list[Record] = []
        self.decided: dict[tuple[int, str], tuple[int, Outcome]] = {}

    @initialize(target=payments, amount=AMOUNTS, window=WINDOWS, room=ROOMS)
    def first_payment(self, amount: int, window: int, room: int) -> int:
        """Create and authorize a payment, so that every program has one to capture."""
        payment = self.create(amount, room)
        assert self.perform(payment, Authorize(window)).outcome is Outcome.AUTHORIZED
        return payment

    @initialize(target=keys, names=st.lists(st.text(max_size=3), min_size=2, max_size=2, unique=True))
    def first_keys(self, names: list[str]) -> object:
        return multiple(*names)

    @rule(target=payments, amount=AMOUNTS, room=ROOMS)
    def create_payment(self, amount: int, room: int) -> int:
        return self.create(amount, room)

    @rule(target=keys, name=st.text(max_size=3))
    def think_of_a_key(self, name: str) -> str:
        return name

    @rule(payment=payments, amount=st.none() | AMOUNTS | MALFORMED_AMOUNTS)
    def create_again(self, payment: int, amount: int | None) -> None:
        done = self.perform(payment, Create(self.own(payment) if amount is None else amount))
        assert done.outcome is not Outcome.CREATED

    @rule(key=keys, amount=AMOUNTS, window=WINDOWS)
    def commands_without_a_payment(self, key: str, amount: int, window: int) -> None:
        commands: list[Command] = [Authorize(window), Fail(FailureReason.VOIDED), Expire(), Read()]
        for command in [*commands, Capture(amount)]:
            has_key = key if isinstance(command, Capture) else None
            after, done = self.apply_command(Record(), command, self.now, has_key)
            assert (after, done.outcome) == (Record(), Outcome.NOT_FOUND)
            self.seen[done.outcome] += 1

    @rule(payment=payments, window=WINDOWS | MALFORMED_WINDOWS)
    def authorize(self, payment: int, window: int) -> None:
        self.perform(payment, Authorize(window))

    @rule(payment=payments, key=keys)
    def capture_all(self, payment: int, key: str) -> None:
        self.capture(payment, key, self.own(payment))

    @rule(payment=payments, key=keys, amount=AMOUNTS | MALFORMED_AMOUNTS)
    def capture_any_amount(self, payment: int, key: str, amount: int) -> None:
        self.capture(payment, key, amount)

    @rule(payment=payments, key=keys)
    def capture_again(self, payment: int, key: str) -> None:
        """Repeat what was decided under the key, whatever has happened since."""
        if (payment, key) in self.decided:
            self.capture(payment, key, self.decided[payment, key][0])
            assert self.records[payment] == self.earlier[payment]

    @rule(payment=payments, reason=st.sampled_from(FailureReason))
    def fail(self, payment: int, reason: FailureReason) -> None:
        self.perform(payment, Fail(reason))

    @rule(payment=payments)
    def expire(self, payment: int) -> None:
        stored = self.records[payment].payment
        if self.perform(payment, Expire()).outcome is Outcome.EXPIRED:
            assert isinstance(stored, Authorized)
            assert stored.capture_expires_at <= self.now

    @rule(payment=payments)
    def read(self, payment: int) -> None:
        assert self.perform(payment, Read()).payment == self.records[payment].payment

    @rule(microseconds=st.integers(1, 10) | st.integers(1, 2 * MAX_WINDOW))
    def let_time_pass(self, microseconds: int) -> None:
        self.now += microseconds

    @rule(payment=payments, offset=st.sampled_from([-1, 0, 1]))
    def move_to_the_end_of_the_window(self, payment: int, offset: int) -> None:
        """Move to the window's last µs, its end, or 1 µs after, if that lies ahead."""
        stored = self.records[payment].payment
        if isinstance(stored, Authorized):
            self.now = max(self.now, stored.capture_expires_at + offset)

    @invariant()
    def no_invariant_is_broken(self) -> None:
        assert [broken for record in self.records for broken in violations(record)] == []

    @invariant()
    def at_most_one_capture_succeeded_and_in_time(self) -> None:
        for record in self.records:
            successes = [each for _, each in record.attempts if each.outcome is Outcome.CAPTURED]
            assert len(successes) <= 1
            if successes:
                assert isinstance(record.payment, Captured)
                assert successes[0].decided_at < record.payment.capture_expires_at

    @invariant()
    def no_more_refusals_are_stored_than_there_is_room_for(self) -> None:
        assert all(record.refusals_left >= 0 for record in self.records)

    @invariant()
    def terminal_states_stay(self) -> None:
        for before, after in zip(self.earlier, self.records, strict=True):
            if before.payment is not None and state_of(before.payment) in TERMINAL:
                assert after.payment == before.payment

    @invariant()
    def attempts_are_only_added(self) -> None:
        for before, after in zip(self.earlier, self.records, strict=True):
            assert before.attempts <= after.attempts

    def create(self, amount: int, room: int) -> int:
        """Create the next payment."""
        self.records.append(Record(max_refusals=room))
        self.earlier.append(self.records[-1])
        payment = len(self.records) - 1
        assert self.perform(payment, Create(amount)).outcome is Outcome.CREATED
        return payment

    def own(self, payment: int) -> int:
        """The payment's amount."""
        stored = self.records[payment].payment
        assert stored is not None
        return stored.amount

    def capture(self, payment: int, key: str, amount: int) -> None:
        """Capture, and compare with what was decided under the key before."""
        done = self.perform(payment, Capture(amount), key)
        decided = self.decided.get((payment, key))
        if decided is None:
            assert not done.replayed
            if done.outcome in RECORDED:
                self.decided[payment, key] = (amount, done.outcome)
        elif decided[0] == amount:
            assert (done.outcome, done.replayed) == (decided[1], True)
        else:
            assert done.outcome is (Outcome.KEY_REUSED if 1 <= amount <= MAX_AMOUNT else Outcome.MALFORMED)

    def perform(self, payment: int, command: Command, key: str | None = None) -> Step:
        """Apply a command; the payment's record as it was is kept for the invariants."""
        before = self.records[payment]
        after, done = self.apply_command(before, command, self.now, key)
        self.earlier[payment], self.records[payment] = before, after
        self.seen[done.outcome] += 1
        assert done.outcome in SUCCESSES or after.payment == before.payment
        return done


def run(apply_command: Apply, effort: settings) -> Counter[Outcome]:
    """Run the machine over a model, and count the answers."""
    seen: Counter[Outcome] = Counter()
    attributes = {"apply_command": staticmethod(apply_command), "seen": seen}
    run_state_machine_as_test(type("Machine", (ModelMachine,), attributes), settings=effort)
    return seen


def test_no_program_breaks_an_invariant_and_every_answer_is_given() -> None:
    assert set(run(apply, EFFORT)) == set(Outcome)


@pytest.mark.parametrize(
    "name",
    [
        "captured_to_failed",
        "attempts_vanish",
        "a_replay_renews_the_attempt",
        "refusals_are_not_stored",
        "replay_is_not_said_to_be_one",
        "replay_answers_for_today",
        "a_reused_key_is_taken_for_another_amount",
        "a_refusal_moves",
        "success_without_capture",
        "capture_without_success",
        "captured_twice",
        "late_by_one",
        "early_by_one",
    ],
)
def test_the_machine_notices_a_broken_model(name: str) -> None:
    effort = settings(
        EFFORT,
        max_examples=10_000,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        print_blob=False,
    )
    with pytest.raises(AssertionError):
        run(MUTANTS[name][0], effort)
