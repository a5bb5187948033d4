"""A command that is stopped at each of its statements, and another meanwhile: each of these can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_core.infrastructure.postgres import statements, store
from payments_core.infrastructure.postgres.batch import Batch
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole.preempted import wrong_preemptions
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

WAITS = "(PAYMENTS_POOLER_MODE=transaction)"
MAY_NOT_WAIT = ", where as many wait for locks as may (PAYMENTS_POOLER_MODE=session)"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


def found(dsn: str) -> str:
    with new_database(dsn) as new, nothing_logged():
        return str(run(wrong_preemptions(new)))


@pytest.mark.invariant("I9")
@pytest.mark.invariant("I10")
@pytest.mark.parametrize(
    ("lock", "way"), [(statements.LOCK_PAYMENT, WAITS), (statements.LOCK_FREE_PAYMENT, MAY_NOT_WAIT)]
)
@pytest.mark.parametrize(
    ("early", "told"),
    [
        (statements.FIND_ATTEMPT, "I9: capture k1 500 while capture k1 500 is stopped"),
        (statements.READ_CLOCK, "I10: clock 1900000060123457 and capture k2 500 while "),
    ],
)
def test_what_is_looked_up_before_the_lock_is_found(
    dsn: str, lock: str, way: str, early: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LooksFirst(Batch):
        async def send(self) -> None:
            asked = [query for query, _, _ in self.statements]
            if lock in asked and early in asked:
                self.statements.insert(asked.index(lock), self.statements.pop(asked.index(early)))
            await super().send()

    monkeypatch.setattr(store, "Batch", LooksFirst)
    told_of = found(dsn)
    assert told_of.startswith(told)
    assert way in told_of
