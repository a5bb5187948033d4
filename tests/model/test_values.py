"""What the model takes and answers are values: equal by their fields, and never changed in place."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from payments_model import (
    Authorize,
    Capture,
    Create,
    Expire,
    Fail,
    FailureReason,
    Outcome,
    Read,
    Record,
    Step,
)
from tests.model.shapes import AMOUNT, AUTHORIZED, CAPTURED, DECLINED, PENDING, SUCCESS

VALUES = [
    *(PENDING, AUTHORIZED, CAPTURED, DECLINED),
    *(Create(AMOUNT), Authorize(1), Capture(AMOUNT), Fail(FailureReason.VOIDED), Expire(), Read()),
    *(SUCCESS, Record(CAPTURED, frozenset({("a", SUCCESS)})), Step(CAPTURED, SUCCESS, Outcome.CAPTURED)),
]
every_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


@every_value
def test_it_is_equal_to_another_of_the_same_fields(value: Any) -> None:
    assert replace(value) == value
    assert len({replace(value), value}) == 1


@every_value
def test_it_cannot_be_changed_in_place(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        value.amount = AMOUNT
