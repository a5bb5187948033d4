"""The service agrees with the model: on every system one command after the other, and in races."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.stress.check import stress_check
from payments_verify.systems import in_memory, in_process, servers

COMMON = (
    "authorize -> authorized",
    "capture -> already_captured",
    "capture -> amount_mismatch",
    "capture -> captured",
    "capture -> captured (replayed)",
    "capture -> key_reused",
    "capture -> malformed",
    "capture -> not_found",
    "capture -> window_expired",
    "create -> exists",
    "expire -> expired",
    "fail -> failed",
)

CORE = (
    "capture -> already_captured",
    "capture -> captured",
    "capture -> captured (replayed)",
    "capture -> key_reused",
    "fail -> failed",
)


def system(name: str, dsn: str) -> Callable[..., AbstractAsyncContextManager[ServiceUnderTest]]:
    systems: dict[str, Callable[..., AbstractAsyncContextManager[ServiceUnderTest]]] = {
        "in memory": in_memory,
        "in process": partial(in_process, dsn),
        "server": partial(servers, dsn, 1),
    }
    return systems[name]


@pytest.mark.invariant("I8")
@pytest.mark.parametrize(
    ("name", "examples", "seen"),
    [("in memory", 200, COMMON), ("in process", 80, CORE), ("server", 90, CORE)],
)
def test_every_answer_is_the_models(name: str, examples: int, seen: Sequence[str], dsn: str) -> None:
    result = machine_check(name, system(name, dsn), examples=examples, steps=20, seed=2)
    assert result.counterexample is None
    assert result.verdict == "holds"
    # A run that never came to the interesting answers has shown nothing.
    assert [outcome for outcome in seen if outcome not in result.details["outcomes"]] == []
    assert result.details["comparisons"] > 10 * examples


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("name", ["in memory", "in process"])
def test_every_answer_is_the_models_where_few_refusals_are_stored(name: str, dsn: str) -> None:
    opened = partial(system(name, dsn), max_stored_refusals=1)
    result = machine_check(name, opened, examples=60, steps=20, seed=2)
    assert result.counterexample is None
    assert result.details["outcomes"]["capture -> too_many_refusals"] > 5


def test_a_service_that_stores_more_refusals_or_fewer_than_it_says_is_found() -> None:
    for stored, said in ((3, 2), (2, 3)):

        @asynccontextmanager
        async def opened(stored: int = stored, said: int = said) -> AsyncIterator[ServiceUnderTest]:
            async with in_memory(stored) as made:
                yield replace(made, traits=replace(EVERYTHING, max_stored_refusals=said))

        result = machine_check("lying", opened, examples=100, steps=20, seed=2)
        assert result.verdict == "violated"
        assert "too_many_refusals" in str(result.counterexample)


@pytest.mark.invariant("I10")
def test_histories_of_races_on_two_processes_are_linearizable(dsn: str, tmp_path: Path) -> None:
    rounds = 20
    result = stress_check("two", partial(servers, dsn, 2), tmp_path, rounds=rounds, seed=3, progress=None)
    assert result.counterexample is None
    assert result.verdict == "holds"
    assert len(list(tmp_path.glob("*.jsonl"))) == rounds
    outcomes = result.details["outcomes"]
    assert outcomes["capture -> captured"] > 0
    assert outcomes["capture -> already_captured"] > 0
    assert not any("no answer" in outcome for outcome in outcomes)
