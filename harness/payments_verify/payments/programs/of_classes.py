"""A short program for each class of inputs: what only chance would come to otherwise, each run comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from payments_verify.payments.inputs.classes import (
    ALIKE_AMOUNTS,
    ALIKE_KEYS,
    AMOUNTS,
    ANOTHER_PAYMENTS_KEY,
    ASKED_BEFORE_IT_IS,
    ASKED_MUCH_LATER,
    AUTHORIZED_LATER,
    DATED_LIST,
    DAY,
    DUE_FOR_LONG,
    EDGES,
    FULL_LIST,
    INSTANTS,
    LEAST_AND_MOST,
    LONG_LIST,
    NO_AMOUNT,
    ODD_MICROSECONDS,
    SECOND,
    SEEN_AT_ONCE,
    SHARED_KEY,
    STANDS_STILL,
    STEPS_BACK,
    TWO_FORMS,
    WINDOWS,
    amounts_of,
    classes_of,
    keys_of,
)
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.of_instants import (
    clock_stands_still,
    clock_steps_back,
    due_for_long,
    edges_and_sweep,
    odd_microseconds,
    window_around,
)
from payments_verify.payments.programs.of_lists import dated_list, full_list, long_list

InputProgram: TypeAlias = Callable[[ComparedCalls], None]

_AMOUNT = 500


def input_programs(traits: Traits) -> Mapping[str, InputProgram]:
    """The programs for a service, by the class that each is for; some come to others, too."""
    programs = dict(_of_keys(traits)) | dict(_of_instants(traits)) | dict(_of_amounts(traits))
    programs |= {
        NO_AMOUNT: _no_amount,
        ASKED_BEFORE_IT_IS: _asked_before_it_is,
        SEEN_AT_ONCE: _seen_at_once,
        LONG_LIST: long_list,
        FULL_LIST: full_list,
        DATED_LIST: dated_list,
    }
    return {name: programs[name] for name in classes_of(traits) if name in programs}


def _of_keys(traits: Traits) -> Iterator[tuple[str, InputProgram]]:
    for name in ALIKE_KEYS:
        yield name, partial(_alike_keys, keys=keys_of(traits, name))
    yield ANOTHER_PAYMENTS_KEY, _one_key_of_two_payments
    yield TWO_FORMS, partial(_alike_keys, keys=("key",), forms=(True, False))


def _of_instants(traits: Traits) -> Iterator[tuple[str, InputProgram]]:
    for name, instant in INSTANTS.items():
        window = traits.window(WINDOWS["windows: the longest"])
        yield name, partial(window_around, instant=instant, window=window)
    windows = {**WINDOWS, **({} if traits.fixed_window is None else {EDGES[0]: traits.fixed_window})}
    for name, window in windows.items():
        yield name, partial(edges_and_sweep, window=window)
    yield DUE_FOR_LONG, due_for_long
    yield ASKED_MUCH_LATER, _asked_much_later
    yield AUTHORIZED_LATER, _authorized_later
    yield ODD_MICROSECONDS, odd_microseconds
    yield STANDS_STILL, clock_stands_still
    yield STEPS_BACK, clock_steps_back


def _of_amounts(traits: Traits) -> Iterator[tuple[str, InputProgram]]:
    for name, amounts in AMOUNTS.items():
        yield name, partial(_each_amount, amounts=amounts_of(traits, amounts))
    yield LEAST_AND_MOST, _least_and_most
    for name, (authorized, *alike) in ALIKE_AMOUNTS.items():
        yield name, partial(_alike_amounts, authorized=authorized, alike=amounts_of(traits, alike))


def _alike_keys(calls: ComparedCalls, keys: Sequence[str], forms: Sequence[bool] = (False, True)) -> None:
    """Each key has a refusal of its own, but for the last, which captures; and each repeats its own."""
    payment = calls.authorized(_AMOUNT)
    for number, key in enumerate(keys):
        amount = _AMOUNT if key == keys[-1] else _AMOUNT + 1 + number
        for quotes_key in forms if calls.system.traits.quotes_keys else forms[:1]:
            calls.perform("capture", payment, key=key, amount=amount, quotes_key=quotes_key)
    calls.everything_visible_agrees()


def _one_key_of_two_payments(calls: ComparedCalls) -> None:
    first, second = calls.authorized(_AMOUNT), calls.authorized(_AMOUNT)
    calls.perform("capture", first, key=SHARED_KEY, amount=_AMOUNT)
    if calls.system.traits.keys_of_account:
        calls.refused("capture", "key_reused", second, key=SHARED_KEY, amount=_AMOUNT)
        calls.tally.inputs[ANOTHER_PAYMENTS_KEY] += 1
    else:
        calls.perform("capture", second, key=SHARED_KEY, amount=_AMOUNT + 1)
    calls.everything_visible_agrees()


def _asked_much_later(calls: ComparedCalls) -> None:
    """What was answered once is the answer, however long ago that was."""
    payment = calls.authorized(_AMOUNT)
    for key, amount in (("refused", _AMOUNT + 1), ("captured", _AMOUNT)):
        calls.perform("capture", payment, key=key, amount=amount)
    for days in (1, 31):
        calls.set_clock(calls.now + days * DAY + 1)
        calls.everything_visible_agrees()
    calls.tally.inputs[ASKED_MUCH_LATER] += 1


def _authorized_later(calls: ComparedCalls) -> None:
    """A window begins with the authorization, however long ago the payment was created."""
    payment, window = calls.new_id(), calls.system.traits.window(2 * SECOND)
    calls.perform("create", payment, amount=_AMOUNT)
    calls.set_clock(calls.now + SECOND + 1)
    calls.perform("authorize", payment, window=window)
    calls.set_clock(calls.now + window - SECOND)
    calls.perform("capture", payment, key="in time", amount=_AMOUNT)
    calls.everything_visible_agrees()
    calls.tally.inputs[AUTHORIZED_LATER] += 1


def _each_amount(calls: ComparedCalls, amounts: Sequence[int]) -> None:
    for amount in amounts:
        payment = calls.authorized(amount)
        calls.perform("capture", payment, key="amount", amount=amount)
        calls.everything_visible_agrees()
        calls.drop([payment])


def _least_and_most(calls: ComparedCalls) -> None:
    """What is less than a service takes is refused; the least that it takes, and the most, are captured."""
    traits = calls.system.traits
    for amount in sorted({1, traits.min_amount - 1}) if traits.min_amount > 1 else ():
        calls.refused("create", "malformed", str(uuid4()), amount=amount)
    _each_amount(calls, (traits.min_amount, traits.max_amount))
    calls.tally.inputs[LEAST_AND_MOST] += 1


def _alike_amounts(calls: ComparedCalls, authorized: int, alike: Sequence[int]) -> None:
    payment = calls.authorized(authorized)
    for amount in alike:
        calls.perform("capture", payment, key=f"{amount}", amount=amount)
    calls.perform("capture", payment, key=f"{authorized}", amount=authorized)
    # Under one key, too, another amount is another request.
    for amount in alike:
        calls.perform("capture", payment, key=f"{authorized}", amount=amount)
    calls.everything_visible_agrees()


def _no_amount(calls: ComparedCalls) -> None:
    payment = calls.authorized(_AMOUNT)
    if calls.reuses_keys and calls.system.traits.captures_amounts:
        calls.perform("capture", payment, key="known", amount=_AMOUNT + 1)
    for amount in calls.system.traits.malformed:
        if calls.system.traits.captures_amounts:
            calls.refused_as_malformed("capture", payment, key="no amount", amount=amount)
            calls.refused_as_malformed("capture", payment, key="known", amount=amount)
        if calls.system.traits.chooses_ids:
            calls.refused_as_malformed("create", str(uuid4()), amount=amount)
    calls.perform("capture", payment, key="no amount", amount=_AMOUNT)
    calls.tally.inputs[NO_AMOUNT] += 1


def _asked_before_it_is(calls: ComparedCalls) -> None:
    """Whoever found nothing under an id finds it as soon as it is there."""
    payment = calls.new_id()
    _seen_by_each(calls, payment)
    calls.perform("capture", payment, key="too early", amount=_AMOUNT)
    calls.perform("create", payment, amount=_AMOUNT)
    _seen_by_each(calls, payment)
    calls.perform("capture", payment, key="too early", amount=_AMOUNT)
    calls.tally.inputs[ASKED_BEFORE_IT_IS] += 1


def _seen_at_once(calls: ComparedCalls) -> None:
    """What a process has kept of a payment since just before a change is no answer just after it."""
    traits = calls.system.traits
    window = traits.window(SECOND)
    captured, failed, expired = (calls.new_id() for _ in range(3))
    changes: list[tuple[str, str, dict[str, Any]]] = []
    for payment in (captured, failed, expired):
        opening = traits.opening(payment, _AMOUNT, window)
        changes += [(f, asked.pop("payment"), asked) for f, asked in opening]
    changes += [
        ("capture", captured, {"key": "refused", "amount": _AMOUNT + 1}),
        ("capture", captured, {"key": "captured", "amount": _AMOUNT}),
    ]
    if "fail" in traits.commands:
        changes.append(("fail", failed, {"reason": "voided"}))
    for f, payment, arguments in changes:
        if f != "create" or (traits.chooses_ids and traits.finds_unknown):
            _seen_by_each(calls, payment)
        calls.perform(f, payment, **arguments)
        _seen_by_each(calls, payment)
    if traits.sweeps and traits.moves_clock:
        calls.set_clock(calls.now + window)
        _seen_by_each(calls, expired)
        calls.expire()
        _seen_by_each(calls, expired)
    calls.tally.inputs[SEEN_AT_ONCE] += 1


def _seen_by_each(calls: ComparedCalls, payment: str) -> None:
    """Clients take turns, so that each looks in each way."""
    for look in calls.system.traits.looks:
        for _ in calls.system.clients:
            calls.perform(look, payment)
