"""The service's own sweeper, the task that no request asks for, in every order with captures and voids."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import ExpirePayments
from payments_core.domain.payment import Payment
from payments_core.entrypoints import sweeper
from payments_verify.cli.explored_system import ExploredSystem, system_of
from payments_verify.payments.exploration.check import interleavings_check
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.catalogue import NAMED
from payments_verify.suite import SWEPT_BY_ITSELF
from payments_verify.systems import expire_batch, gated, sweep_by_itself

RunSweep: TypeAlias = Callable[[PaymentStore], Coroutine[Any, Any, int]]
CLASSES = {"capture-and-sweep": 13, "two-sweepers": 10, "void-and-sweep": 8}
"""As many as where a sweep is asked for: the task sends the same statements."""


class AsOfTheEnd(ExpirePayments):
    """Says that a payment has failed when its window ended."""

    async def __call__(self, limit: int) -> list[Payment]:
        async with self.store.lock_due(limit) as due:
            expired = [each.expire(each.capture_expires_at or 0) for each in due.payments]
            if expired:
                await due.commit(expired)
            return expired


@pytest.mark.invariant("I9", "I10")
def test_every_order_with_the_task_is_explained(dsn: str, tmp_path: Path) -> None:
    scenarios = [NAMED[name] for name in SWEPT_BY_ITSELF]
    found = interleavings_check("it", partial(gated, dsn, sweep=sweep_by_itself), scenarios, tmp_path)
    assert found.verdict == "holds", found.counterexample
    assert {each["scenario"]: each["schedules"] for each in found.details["scenarios"]} == CLASSES


@pytest.mark.parametrize(("sweep", "verdict"), [(expire_batch, "holds"), (sweep_by_itself, "violated")])
def test_a_bug_in_the_task_alone_is_found(
    sweep: RunSweep, verdict: str, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "ExpirePayments", AsOfTheEnd)
    found = interleavings_check("it", partial(gated, dsn, sweep=sweep), [NAMED["void-and-sweep"]], tmp_path)
    assert found.verdict == verdict
    if verdict == "violated":
        (file,) = tmp_path.glob("*.json")
        assert system_of(schedule_file.read(file).service) is ExploredSystem.OWN_SWEEPER
