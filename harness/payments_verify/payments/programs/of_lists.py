"""Programs that fill a payment's list of attempts."""

from __future__ import annotations

from payments_verify.payments.inputs.classes import FULL_LIST, LONG_LIST, LONG_LIST_LENGTH
from payments_verify.payments.programs.compared import ComparedCalls

_AMOUNT = 500


def long_list(calls: ComparedCalls) -> None:
    """More attempts than a page has."""
    payment = calls.authorized(_AMOUNT)
    for number in range(LONG_LIST_LENGTH):
        calls.perform("capture", payment, key=f"{number}", amount=_AMOUNT + 1)
    for look in calls.system.traits.looks:
        calls.perform(look, payment)
    calls.tally.inputs[LONG_LIST] += 1


def full_list(calls: ComparedCalls) -> None:
    """Where no more refusals are stored, what is stored is answered, and a capture that succeeds is made."""
    payment, most = calls.authorized(_AMOUNT), calls.system.traits.max_stored_refusals or 0
    for number in range(most + 1):
        calls.perform("capture", payment, key=f"{number}", amount=_AMOUNT + 1)
    if calls.reuses_keys:
        for key, amount in (("0", _AMOUNT + 1), (f"{most - 1}", _AMOUNT + 1), ("0", _AMOUNT)):
            calls.perform("capture", payment, key=key, amount=amount)
    for key in ("captured", "too late"):
        calls.perform("capture", payment, key=key, amount=_AMOUNT)
    calls.everything_visible_agrees()
    calls.tally.inputs[FULL_LIST] += 1
