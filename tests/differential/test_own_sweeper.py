"""The service's own sweeper, the task that no request asks for, in every order with captures and voids."""

from __future__ import annotations

import asyncio
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
from payments_verify.payments.faults.check import faults_check
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.suite import SWEPT_BY_ITSELF
from payments_verify.systems import expire_batch, gated, sweep_by_itself
from pgweave.gate import Fault

RunSweep: TypeAlias = Callable[[PaymentStore], Coroutine[Any, Any, int]]
ON_TWO = "-on-two-instances"
CLASSES = {
    "two-sweepers": 10,
    f"same-key-twice{ON_TWO}": 6,
    f"different-keys{ON_TWO}": 6,
    f"different-keys-and-tick{ON_TWO}": 16,
    f"same-key-different-amounts{ON_TWO}": 5,
    f"capture-and-void{ON_TWO}": 6,
    f"capture-and-sweep{ON_TWO}": 13,
    f"authorize-twice{ON_TWO}": 6,
    f"read-while-captured{ON_TWO}": 12,
    f"create-twice{ON_TWO}": 2,
    f"capture-during-authorize{ON_TWO}": 5,
    f"retry-while-under-way{ON_TWO}": 11,
    f"void-and-sweep{ON_TWO}": 8,
    f"read-while-created{ON_TWO}": 3,
}
"""As many as on one instance, and where a sweep is asked for: the statements are the same."""
HURT = FaultPlan(NAMED["void-and-sweep"], (Fault.CUT_AFTER,))


class AsOfTheEnd(ExpirePayments):
    """Says that a payment has failed when its window ended."""

    async def __call__(self, limit: int) -> list[Payment]:
        async with self.store.lock_due(limit) as due:
            expired = [each.expire(each.capture_expires_at or 0) for each in due.payments]
            if expired:
                await due.commit(expired)
            return expired


async def sweep_until_it_fails(self: sweeper.Sweeper) -> None:
    await sweeper.sweep(self.store, self.batch, batch_ended=self.expired)
    self.swept()


async def fail_once_it_failed(self: sweeper.Sweeper) -> None:
    failed = False
    while True:
        try:
            await sweeper.sweep(self.store, self.batch)
            if not failed:
                self.swept()
        except Exception:  # noqa: BLE001 - as the sweeper does
            failed = True
        await asyncio.sleep(0)


@pytest.mark.invariant("I9", "I10")
def test_every_order_with_the_task_is_explained(dsn: str, tmp_path: Path) -> None:
    service = partial(gated, dsn, instances=2, sweep=sweep_by_itself)
    found = interleavings_check("it", service, SWEPT_BY_ITSELF, tmp_path)
    assert found.verdict == "holds", found.counterexample
    assert {each["scenario"]: each["schedules"] for each in found.details["scenarios"]} == CLASSES


@pytest.mark.invariant("I9", "I10")
@pytest.mark.parametrize("loop", [sweep_until_it_fails, fail_once_it_failed])
def test_a_task_that_a_fault_ends_is_found(
    loop: Callable[..., object], dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it ends, and where it goes on for ever without having swept."""
    monkeypatch.setattr(sweeper.Sweeper, "_sweep_forever", loop)
    service = partial(gated, dsn, sweep=sweep_by_itself)
    found = faults_check("a check", service, [HURT], tmp_path, replay="replay", hangs_up=False)
    assert found.verdict == "violated"
    assert "SweeperEndedError" in str(found.counterexample)
    (file,) = tmp_path.glob("*.schedule.json")
    assert system_of(schedule_file.read(file).service) is ExploredSystem.OWN_SWEEPER


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
