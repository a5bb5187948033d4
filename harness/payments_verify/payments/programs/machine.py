"""One stateful machine for every system: Hypothesis draws commands, the model says what each must answer.

After every step everything that can be seen of the payments is compared with the model: each payment, its
stored attempts, and the bytes that each used key repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from payments_model import MAX_AMOUNT, Authorized
from payments_verify.payments.inputs.classes import SECOND
from payments_verify.payments.observed.observations import attempts_of
from payments_verify.payments.observed.traits import EVERYTHING, Traits
from payments_verify.payments.programs.compared import ComparedCalls

AMOUNTS = st.sampled_from([1, 500, 501, MAX_AMOUNT])
_MALFORMED_AMOUNTS = st.sampled_from(EVERYTHING.malformed)
RACED_KEYS = ("k1", "k2", "K1", "k 1")
KEYS = st.sampled_from(RACED_KEYS)
_WINDOWS = st.sampled_from([1, 2, 60, 2_678_400]).map(lambda seconds: seconds * SECOND)
PAYMENTS = 3  # as many as an example uses at a time, because each step looks at all of them
# Around the end of a window, or not there: if the clock always went there, no window would stay open.
_AROUND = st.sampled_from([None, None, None, -1, 0, 1])
REASONS = st.sampled_from(["declined", "voided"])


def _where(has: Callable[[Traits], bool]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Only for a service that has what the rule needs."""
    return precondition(lambda machine: has(machine.system.traits))


class PaymentMachine(ComparedCalls, RuleBasedStateMachine):
    """What Hypothesis may draw. Subclasses name the system and the runner."""

    payments = Bundle("payments")

    @initialize(target=payments, amount=AMOUNTS)
    def first_payment(self, amount: int) -> str:
        """Create and authorize a payment, so that every example has one to capture."""
        return self.authorized(amount)

    @precondition(lambda self: len(self.records) < PAYMENTS)
    @rule(target=payments, amount=AMOUNTS)
    def create(self, amount: int) -> str:
        """Create a payment under a new id."""
        return self._create(amount)

    @_where(lambda traits: traits.chooses_ids)
    @rule(payment=payments, amount=AMOUNTS)
    def create_again(self, payment: str, amount: int) -> None:
        """Create under an id that is taken."""
        self.perform("create", payment, amount=self.system.traits.amount(amount))

    @_where(lambda traits: "authorize" in traits.commands)
    @rule(payment=payments, window=_WINDOWS)
    def authorize(self, payment: str, window: int) -> None:
        """Authorize."""
        self.perform("authorize", payment, window=self.system.traits.window(window))

    @rule(payment=payments, key=KEYS)
    def capture(self, payment: str, key: str) -> None:
        """Capture the authorized amount."""
        stored = self.records[payment].payment
        assert stored is not None
        self.perform("capture", payment, key=self._key(key), amount=stored.amount)

    @rule(payment=payments, key=KEYS)
    def capture_another_amount(self, payment: str, key: str) -> None:
        """Capture an amount that is not the authorized one."""
        stored = self.records[payment].payment
        assert stored is not None
        amount = self.system.traits.another_amount(stored.amount)
        self.perform("capture", payment, key=self._key(key), amount=amount)

    @precondition(lambda self: self.reuses_keys)
    @rule(data=st.data(), payment=payments, other_amount=st.booleans())
    def capture_again(self, data: st.DataObject, payment: str, other_amount: bool) -> None:
        """Use a key that has been used: for the same request, or for another."""
        attempts = attempts_of(self.records[payment])
        if attempts:
            used = data.draw(st.sampled_from(attempts))
            another = self.system.traits.another_amount(used["amount"])
            amount = another if other_amount else used["amount"]
            self.perform("capture", payment, key=used["key"], amount=amount)

    @_where(lambda traits: "fail" in traits.commands)
    @rule(payment=payments, reason=REASONS)
    def fail(self, payment: str, reason: str) -> None:
        """Decline or void."""
        self.perform("fail", payment, reason=reason)

    @rule(payment=payments, key=KEYS, amount=_MALFORMED_AMOUNTS)
    def malformed(self, payment: str, key: str, amount: Any) -> None:  # noqa: ANN401 - anything
        """What is no amount is neither captured nor created: refused, and nothing is stored."""
        traits = self.system.traits
        if traits.is_malformed(amount):
            if traits.captures_amounts:
                self.refused_as_malformed("capture", payment, key=self._key(key), amount=amount)
            if traits.chooses_ids:
                self.refused_as_malformed("create", str(uuid4()), amount=amount)

    @_where(lambda traits: traits.min_amount > 1)
    @rule(below=st.integers(1, 10))
    def less_than_the_least(self, below: int) -> None:
        """No payment is less than the service takes."""
        amount = max(self.system.traits.min_amount - below, 1)
        self.refused("create", "malformed", str(uuid4()), amount=amount)

    @_where(lambda traits: traits.finds_unknown)
    @rule(key=KEYS)
    def unknown_payment(self, key: str) -> None:
        """No command finds a payment that was never created."""
        unknown = str(uuid4())
        self.records[unknown] = self._nothing()
        traits = self.system.traits
        self.perform("capture", unknown, key=key, amount=traits.min_amount)
        if "authorize" in traits.commands:
            self.perform("authorize", unknown, window=traits.window(SECOND))
        if "fail" in traits.commands:
            self.perform("fail", unknown, reason="voided")
        for look in traits.looks:
            self.perform(look, unknown)
        del self.records[unknown]

    @rule(payment=consumes(payments))
    def forget(self, payment: str) -> None:
        """Use the payment no more, to keep the checks after each step few."""
        del self.records[payment]

    @_where(lambda traits: traits.moves_clock)
    @rule(step=st.integers(1, 20 * SECOND))
    def let_time_pass(self, step: int) -> None:
        """Move the database's clock on."""
        self.set_clock(self.now + step)

    def move_to_the_end_of_the_window(self, payment: str, offset: int | None) -> None:
        """Move the clock to the window's last µs, its end, or 1 µs after, if that lies ahead."""
        stored = self.records[payment].payment
        if offset is None or not isinstance(stored, Authorized):
            return
        if stored.capture_expires_at + offset >= self.now:
            self.set_clock(stored.capture_expires_at + offset)

    @_where(lambda traits: traits.moves_clock)
    @rule(payment=payments, key=KEYS, offset=_AROUND)
    def capture_at_the_end_of_the_window(self, payment: str, key: str, offset: int | None) -> None:
        """Capture in the window's last µs, at its end, or 1 µs after."""
        self.move_to_the_end_of_the_window(payment, offset)
        self.capture(payment, key)

    @_where(lambda traits: traits.sweeps and traits.moves_clock)
    @rule(payment=payments, offset=_AROUND)
    def sweep(self, payment: str, offset: int | None) -> None:
        """Expire everything that is due, around the end of a window."""
        self.move_to_the_end_of_the_window(payment, offset)
        self.expire()

    def teardown(self) -> None:
        """At its end, what the service shows beside outcomes is what was answered."""
        self.surface_agrees()

    @invariant()
    def everything_visible_agrees(self) -> None:
        """Every payment, its attempts, and each used key's answer are the model's."""
        super().everything_visible_agrees()
