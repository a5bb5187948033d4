"""From a record back to the commands that lead to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_model import Expire, Record, apply
from payments_verify.payments.races.preparation import (
    Before,
    Wait,
    can_be_commanded,
    commands_leading_to,
    records_after,
)
from payments_verify.payments.races.runner import attempts, authorize, capture, create, fail, read, wait
from payments_verify.payments.scenarios.catalogue import Command

START = 1_900_000_000_000_000
SECOND = 1_000_000
PAYMENTS = 2

_WHICH = st.integers(0, PAYMENTS - 1)
_STEPS: st.SearchStrategy[Before] = st.one_of(
    st.builds(capture, st.sampled_from(["k1", "k2", "k3"]), st.sampled_from([500, 501]), _WHICH),
    st.builds(authorize, st.sampled_from([SECOND, 60 * SECOND]), _WHICH),
    st.builds(fail, st.sampled_from(["declined", "voided"]), _WHICH),
    st.builds(create, st.sampled_from([500, 501]), _WHICH),
    st.builds(read, _WHICH),
    st.builds(attempts, _WHICH),
    st.builds(wait, st.sampled_from([1, SECOND - 1, SECOND, 60 * SECOND])),
)


@given(st.lists(_STEPS, max_size=15))
def test_the_commands_lead_where_the_record_is(steps: list[Before]) -> None:
    begun: list[Before] = [create(500, payment=number) for number in range(PAYMENTS)]
    records, now = records_after([*begun, *steps], START, PAYMENTS)
    start, commands = commands_leading_to(records, now)
    assert all(map(can_be_commanded, records))
    assert records_after(commands, start, PAYMENTS) == (records, now)
    # And no more of them than have left something behind.
    sent = [command for command in commands if isinstance(command, Command)]
    stored = [each for record in records for each in record.attempts]
    assert len([command for command in sent if command.f == "capture"]) == len(stored)
    assert len([command for command in sent if command.f != "capture"]) <= 3 * PAYMENTS
    assert all(each.us > 0 for each in commands if isinstance(each, Wait))


def test_the_lifecycle_settles_the_order_of_one_instant() -> None:
    steps = [create(500), capture("z", 500), authorize(SECOND), capture("y", 501), capture("k", 500)]
    steps.append(capture("a", 500))
    records, now = records_after(steps, START)
    assert commands_leading_to(records, now) == (START, tuple(steps))


def test_a_pending_payment_is_created_now() -> None:
    (record,), now = records_after([create(500), wait(7)], START)
    assert commands_leading_to([record], now) == (START + 7, (create(500),))


@pytest.mark.parametrize("expired", [False, True])
def test_what_a_sweep_has_expired_is_not_retraced(expired: bool) -> None:
    (record,), now = records_after([create(500), authorize(SECOND), wait(SECOND)], START)
    if expired:
        record, _ = apply(record, Expire(), now)
    assert can_be_commanded(record) is not expired


def test_what_does_not_exist_is_not_retraced() -> None:
    assert not can_be_commanded(Record())
