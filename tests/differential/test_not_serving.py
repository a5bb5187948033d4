"""A fault after which the service serves no more is a violation, told with what the service printed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from payments_verify.payments.faults.check import faults_check
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.races import serving_again
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.result import CheckResult
from payments_verify.systems import gated
from pgweave.drive.domain import BrokenServiceError
from pgweave.gate import Fault
from pgweave.service.end import End

PRINTED = "pool: all connections are lost, and none is opened again"


@dataclass
class Dying:
    """Answers what was asked when something was cut, and then nothing for a number of requests."""

    client: Sender
    silent: int
    hurt: bool = False

    async def send(self, invocation: Invocation) -> Observation:
        if self.hurt and invocation.f == "create" and self.silent > 0:
            self.silent -= 1
            return Observation("unknown", {"status": 500, "body": "no connection"})
        observed = await self.client.send(invocation)
        self.hurt = self.hurt or observed.kind == "unknown"
        return observed


class Restarting(Dying):
    """A process that ends when something was cut, and what it was asked is lost; then another one serves."""

    async def send(self, invocation: Invocation) -> Observation:
        if self.hurt and self.silent > 0:
            self.silent -= 1
            return Observation("unknown", {"error": "ConnectError" if self.silent else "ReadError"})
        observed = await self.client.send(invocation)
        self.hurt = self.hurt or observed.kind == "unknown"
        return observed


def opened(dsn: str, silent: int, kind: type[Dying] = Dying) -> OpenService:
    @asynccontextmanager
    async def open_service() -> AsyncIterator[ServiceUnderTest]:
        async with gated(dsn) as service:
            dying = kind(service.client, silent)
            yield replace(service, clients=(dying,), printed=lambda: PRINTED)

    return open_service


def checked(dsn: str, silent: int, folder: Path, kind: type[Dying] = Dying) -> CheckResult:
    plans = [FaultPlan(ONE_CAPTURE, (Fault.CUT_AFTER,))]
    behind_gate = opened(dsn, silent, kind)
    return faults_check("dying", behind_gate, plans, folder, replay="replay", hangs_up=False)


def test_never_serving_again_is_a_violation(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_again, "LIMIT_S", 2.0)
    result = checked(dsn, 1_000_000, tmp_path)
    assert result.verdict == "violated"
    told = str(result.counterexample)
    assert "one-capture, cut after at statement" in told
    assert "I9: it does not serve again after the fault: for 2 s" in told
    assert "'status': 500" in told
    assert PRINTED in told


def test_serving_again_a_while_later_is_none(dsn: str, tmp_path: Path) -> None:
    result = checked(dsn, 8, tmp_path)
    assert result.verdict == "holds", result.counterexample


def test_a_process_that_is_started_again_is_asked_again_when_it_listens(dsn: str, tmp_path: Path) -> None:
    result = checked(dsn, 6, tmp_path, Restarting)
    assert result.verdict == "holds", result.counterexample


def test_a_process_that_is_not_started_again_is_a_violation(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_again, "LIMIT_S", 1.0)
    told = str(checked(dsn, 1_000_000, tmp_path, Restarting).counterexample)
    assert "I9: it does not serve again after the fault: for 1 s" in told
    assert "ConnectError" in told


@pytest.mark.parametrize("error", ["ConnectError", "ReadError"])
def test_a_process_that_has_ended_is_not_waited_for(error: str) -> None:
    async def ended() -> End:
        return End(1)

    async def run() -> None:
        async with asyncio.timeout(10):
            await serving_again.WaitForService(ended).before_next({"error": error})

    if error == "ReadError":  # the request may have been lost to somebody else
        asyncio.run(run())
        return
    with pytest.raises(BrokenServiceError) as raised:
        asyncio.run(run())
    told = "after the fault: the service ended with exit code 1, and no request got a definite answer"
    assert told in raised.value.violation.explanation
