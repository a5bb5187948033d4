"""Programs of the clock and of lists find what is wrong at an instant, with an age, or at a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from payments_core.application.dto import Cursor
from payments_core.domain.payment import Payment, PaymentState
from payments_core.domain.values import Instant
from payments_core.entrypoints.http import parsing
from payments_core.entrypoints.http.problems import INVALID_QUERY, ProblemRaised
from payments_verify.payments.inputs.classes import (
    DATED_LIST,
    DAY,
    DUE_FOR_LONG,
    FEW_REFUSALS,
    FULL_LIST,
    INSTANTS,
    SECOND,
    STEPS_BACK,
)
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.of_classes import input_programs
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.systems import in_memory, memory_store
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.memory_store import InMemoryPaymentStore

POSTGRES, LATER = INSTANTS["clock: PostgreSQL's epoch"], INSTANTS["clock: 2^31 seconds"]


def found(name: str) -> MismatchError | None:
    """What the program of the class finds, if anything."""
    with asyncio.Runner() as runner:
        context = in_memory(FEW_REFUSALS)
        system = runner.run(context.__aenter__())
        calls = type("Calls", (ComparedCalls,), {"system": system, "runner": runner, "tally": Tally()})
        try:
            with nothing_logged():
                input_programs(system.traits)[name](calls())
        except MismatchError as mismatch:
            return mismatch
        finally:
            runner.run(context.__aexit__(None, None, None))
    return None


@pytest.mark.parametrize("name", [*INSTANTS, DATED_LIST, DUE_FOR_LONG, FULL_LIST, STEPS_BACK])
def test_the_service_as_it_is(name: str) -> None:
    assert found(name) is None


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("name", "fails"),
    [
        ("clock: the Unix epoch", lambda now: now == 0),
        ("clock: the Unix epoch", lambda now: now < POSTGRES),
        ("clock: PostgreSQL's epoch", lambda now: now < POSTGRES),
        ("clock: 10^9 seconds", lambda now: now < 10**9 * SECOND),
    ],
)
def test_an_instant_that_a_service_cannot_hold_is_found(
    name: str, fails: Callable[[Instant], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = InMemoryPaymentStore.create

    async def created(self: Any, *asked: Any) -> Any:
        if fails(self._clock()):
            raise OverflowError
        return await create(self, *asked)

    monkeypatch.setattr(InMemoryPaymentStore, "create", created)
    assert "'status': 500" in str(found(name))


@pytest.mark.invariant("I8")
@pytest.mark.parametrize(
    "refused",
    [
        lambda instant: instant == 0,
        lambda instant: instant < POSTGRES,
        lambda instant: instant == POSTGRES,
        lambda instant: instant >= LATER,
        lambda instant: instant >= 2**32 * SECOND,
    ],
)
def test_a_place_in_the_list_that_cannot_be_is_found(
    refused: Callable[[Instant], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = parsing.decode_cursor

    def decoded(text: str) -> Cursor:
        cursor = decode(text)
        if refused(cursor.created_at):
            raise ProblemRaised(INVALID_QUERY, "no such place")
        return cursor

    monkeypatch.setattr(parsing, "decode_cursor", decoded)
    assert str(found(DATED_LIST)).startswith("I8: GET /payments?limit=")


@pytest.mark.invariant("I2")
@pytest.mark.parametrize(
    "fewer", [lambda due: due > 1, lambda due: due < 30 * DAY, lambda due: due < 4 * 366 * DAY]
)
def test_a_sweep_that_leaves_what_is_due_for_some_time_is_found(
    fewer: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_due = InMemoryPaymentStore.lock_due

    @asynccontextmanager
    async def locked(self: Any, limit: int) -> AsyncIterator[Any]:
        async with lock_due(self, limit) as due:
            due.payments = [each for each in due.payments if fewer(due.now - (each.capture_expires_at or 0))]
            yield due

    monkeypatch.setattr(InMemoryPaymentStore, "lock_due", locked)
    assert "'state': 'authorized'" in str(found(DUE_FOR_LONG))


def test_a_sweep_that_expires_what_was_due_before_the_clock_went_back_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Instant] = [0]

    class Seeing(memory_store._LockedPayment):  # noqa: SLF001 - of what it reads something is kept
        def __init__(self, store: Any, payment: Payment, attempt: Any, refusals: int, now: Instant) -> None:
            seen.append(now)
            super().__init__(store, payment, attempt, refusals, now)

    monkeypatch.setattr(memory_store, "_LockedPayment", Seeing)
    monkeypatch.setattr(
        Payment, "window_has_ended", lambda payment, _: (payment.capture_expires_at or 0) <= max(seen)
    )
    assert "'state': 'failed'" in str(found(STEPS_BACK))


IN_STATE: dict[str, Callable[[Payment, Instant], bool]] = {
    "pending": lambda payment, _: payment.state is PaymentState.PENDING,
    "authorized": lambda payment, now: (
        payment.state is PaymentState.AUTHORIZED and not payment.window_has_ended(now)
    ),
    "captured": lambda payment, _: payment.state is PaymentState.CAPTURED,
    "failed": lambda payment, _: payment.state is PaymentState.FAILED,
    "over": lambda payment, now: payment.state is PaymentState.AUTHORIZED and payment.window_has_ended(now),
}


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("state", IN_STATE)
def test_a_bound_of_refusals_that_is_another_in_one_state_is_found(
    state: str, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(memory_store._LockedPayment):  # noqa: SLF001 - what it counts is broken
        def __init__(self, store: Any, payment: Payment, attempt: Any, refusals: int, now: Instant) -> None:
            counted = refusals + more if IN_STATE[state](payment, now) else refusals
            super().__init__(store, payment, attempt, counted, now)

    monkeypatch.setattr(memory_store, "_LockedPayment", Counting)
    mismatch = found(FULL_LIST)
    assert mismatch is not None
    assert "I11" in mismatch.breaks
