"""A connection that a request leaves in its transaction is found; one that is mended in time is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from payments_core.domain.errors import PaymentError
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.races.judge import Judge
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.systems import gated
from pgweave.interleavings.strategy import InTurns, SchedulePlan, perform
from pgweave.scheduler import Limits
from tests.support.mutants import CATALOGUE, Edit, mutated_copy, run_harness

pytestmark = [pytest.mark.anyio, pytest.mark.invariant("I9")]

Leave = Callable[[AbstractAsyncContextManager[Any]], Awaitable[None]]


POOL = "infrastructure/postgres/pool.py"
GIVEN_BACK_AS_IT_IS = CATALOGUE.edits("disconnect-leaves-a-transaction")
ENDED_WHEN_LENT_AGAIN = (
    *GIVEN_BACK_AS_IT_IS,
    Edit(
        POOL,
        "        else:\n            self.in_use += 1\n            return connection\n",
        "        else:\n            self.in_use += 1\n            await connection.rollback()\n"
        "            return connection\n",
    ),
)


def test_one_that_spoils_the_next_request_is_found(tmp_path: Path) -> None:
    mutant = mutated_copy(tmp_path / "mutant", GIVEN_BACK_AS_IT_IS)
    run = run_harness(mutant, ["faults", "--scenario", "one-capture", "--fault", "57014", "--json"])
    (report,) = json.loads(run.stdout)
    assert (run.returncode, report["verdict"], report["places"]) == (1, "violated", 1), report
    assert "was left inside a transaction that had failed" in report["problem"]


def test_a_pool_may_end_a_failed_transaction_when_it_lends_the_connection_again(tmp_path: Path) -> None:
    copy = mutated_copy(tmp_path / "copy", ENDED_WHEN_LENT_AGAIN)
    run = run_harness(copy, ["faults", "--scenario", "one-capture", "--fault", "57014", "--json"])
    (report,) = json.loads(run.stdout)
    assert (run.returncode, report["verdict"], report["places"]) == (0, "holds", 7), report


@dataclass
class Left:
    """A payment's lock, which a request that is refused leaves in another way."""

    lock: AbstractAsyncContextManager[Any]
    leave: Leave

    async def __aenter__(self) -> object:
        return await self.lock.__aenter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PaymentError):
            await self.leave(self.lock)
        else:
            await self.lock.__aexit__(kind, error, trace)


async def judged(dsn: str, leave: Leave, patch: pytest.MonkeyPatch) -> str | None:
    """What is wrong with two authorizations, if the one that is refused leaves its lock in this way."""
    lock = PostgresPaymentStore.lock
    patch.setattr(PostgresPaymentStore, "lock", lambda *asked: Left(lock(*asked), leave))
    async with gated(dsn) as service:
        impatient = replace(service, limits=Limits(step=2.0, stall=50, left=500))
        run = await perform(
            scenario_race(SCENARIOS["authorize-twice"], impatient), SchedulePlan((), InTurns())
        )
        violation = Judge().find_violation(run.execution)
    return None if violation is None else violation.explanation


async def never(_lock: object) -> None: ...


async def test_one_that_keeps_its_locks_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = await judged(dsn, never, monkeypatch)
    assert told is not None
    assert "was left inside a transaction, with its locks" in told


async def test_a_transaction_may_end_after_the_answer(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []

    async def later(lock: AbstractAsyncContextManager[Any]) -> None:
        async def end() -> None:
            await asyncio.sleep(0.3)
            await lock.__aexit__(None, None, None)

        tasks.append(asyncio.create_task(end()))

    assert await judged(dsn, later, monkeypatch) is None
    assert len(tasks) == 1
