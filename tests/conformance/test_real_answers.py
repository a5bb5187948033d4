"""What the APIs of others answer: a right service is not accused of it, and a wrong one is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from payments_verify.binding import Binding, BoundClient, default_text, parse
from payments_verify.binding.coverage import traits_of
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory


@asynccontextmanager
async def bound_by(binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    """Our own service, in memory, as another binding sees it."""
    async with in_memory() as service:
        clients = [each for each in service.clients if isinstance(each, BoundClient)]
        traits = replace(traits_of(binding, moves_clock=True), sweeps=True)
        yield replace(
            service, clients=tuple(BoundClient(each.http, binding) for each in clients), traits=traits
        )


def examined(text: str) -> CheckResult:
    return machine_check("ours", partial(bound_by, parse(text, "mine.toml")), examples=5, steps=12, seed=1)


def test_bodies_that_are_not_compared_accuse_nobody() -> None:
    found = examined(default_text().replace('body = "same bytes"', 'body = "not compared"'))
    assert found.verdict == "holds", found.counterexample
    assert found.details["outcomes"]["capture -> captured (replayed)"] > 0
