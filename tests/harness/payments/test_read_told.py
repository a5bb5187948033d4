"""What a read showed is told where no order explains it, and not its state alone."""

from __future__ import annotations

from payments_model import Create, Record, apply
from payments_verify.payments.observed.observations import view_of
from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.specification.steps import PaymentState
from pgweave.history.operations import Operation, Outcome


def test_a_read_is_told_as_what_it_showed() -> None:
    record, _ = apply(Record(), Create(500), 1)
    assert record.payment is not None
    showed = {**view_of(record.payment), "amount": 499}
    read = Operation(
        0, "read", {"payment": "p", "earliest": 0}, Outcome.OK, {"outcome": "read", "payment": showed}, 0, 1
    )
    told = Payments().expected(PaymentState(record), read)
    assert told == f"{view_of(record.payment)}, and it showed {showed}"
