"""localstripe, software of others: what its analysis says is so. Run where it is installed.

It is no package of Debian, and the lock holds what the project itself needs: CI does not have it,
and does not try it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest

from payments_verify.binding import Binding, load
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems.started import service_at
from pgweave.service.command import running_command
from tests.docs.pages import ROOT

FOUND = shutil.which("localstripe", path=f"{ROOT}/build/localstripe/bin{os.pathsep}{os.environ['PATH']}")


@asynccontextmanager
async def opened(binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    async with (
        running_command(f"exec {FOUND} --port $PORT --from-scratch", {}, binding.service.ready) as running,
        service_at(running.url, binding) as service,
    ):
        yield service


@pytest.mark.long
@pytest.mark.skipif(FOUND is None, reason="localstripe is not installed in build/localstripe")
@pytest.mark.parametrize(
    ("reuses_keys", "sends_no_amounts", "told"),
    [
        (False, True, "'amount': 0}: outcome: expected 'malformed', got 'captured'"),
        (False, False, "(the model answers not_authorized) got no definite answer: {'status': 500"),
        (True, True, "outcome: expected 'captured', got 'not_authorized'"),
    ],
    ids=["a capture of nothing", "a capture too early", "a key that is used again"],
)
def test_what_its_analysis_says_is_found(reuses_keys: bool, sends_no_amounts: bool, told: str) -> None:
    binding = load(ROOT / "examples" / "bindings" / "localstripe.toml")
    if not sends_no_amounts:
        limits = msgspec.structs.replace(binding.limits, malformed_amounts=[])
        binding = msgspec.structs.replace(binding, limits=limits)
    open_service = partial(opened, binding)
    found = machine_check("localstripe", open_service, examples=30, steps=15, seed=1, reuses_keys=reuses_keys)
    assert found.verdict == "violated"
    assert told in str(found.counterexample)


def test_its_binding_is_one() -> None:
    assert load(ROOT / "examples" / "bindings" / "localstripe.toml").name == "localstripe"
