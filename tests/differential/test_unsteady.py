"""A service that does otherwise when a program is run again: told as a mismatch, and nothing is printed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import in_memory


@dataclass
class Dying:
    """Answers no more after a number of requests: more than the programs of classes have."""

    client: Sender
    left: int

    async def send(self, invocation: Invocation) -> Observation:
        self.left -= 1
        return await self.client.send(invocation) if self.left >= 0 else Observation("unknown", {})


@asynccontextmanager
async def dying() -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as system:
        yield replace(system, clients=(Dying(system.clients[0], 3_900),))


def test_a_service_that_dies_is_told_on_standard_error_alone(capsys: pytest.CaptureFixture[str]) -> None:
    result = machine_check("dying", dying, examples=30, steps=15, seed=1)
    assert result.verdict == "violated"
    assert "got no definite answer" in str(result.counterexample)
    printed = capsys.readouterr()
    assert printed.out == ""  # it is for JSON
    assert "leading up to this error" in printed.err
