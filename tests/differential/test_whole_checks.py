"""A whole process of the service: what it counts, how it sweeps on, and what it says when it is not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import OperationalError
from psycopg.types.numeric import Int8
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from payments_core.application import again
from payments_core.application.ports import PaymentStore
from payments_core.entrypoints import sweeper
from payments_core.entrypoints.addresses import is_loopback
from payments_core.entrypoints.background import Background
from payments_core.entrypoints.http import sources
from payments_core.entrypoints.http.payments import PaymentRoutes
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.sweeper import Sweeper, sweep
from payments_core.infrastructure.postgres import batch, readiness, statements, store
from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.fitness import is_fit
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_verify.surface.samples import read_metrics, wrong_counts
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.processes import commanded
from payments_verify.systems.processes.forked import forks
from payments_verify.systems.whole import swept, unreadiness
from payments_verify.systems.whole.checks import whole_checks
from pgweave.gate import Fault
from tests.differential.test_own_sweeper import AsOfTheEnd
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, mutated_copy
from tests.support.postgres import chosen_bin_dir

COUNTS, SWEEPS, READY = "what is counted", "sweeps that fail", "what is not ready"
CREATIONS, MACHINES = "creations that are hurt", "other machines"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.invariant("I12")
@pytest.mark.parametrize(
    ("what", "counter"),
    [
        ("conflict", "transaction_conflicts_total: expected 10 more, got 0"),
        ("rejected", "http_requests_rejected_total deadline: expected 1 more, got 0"),
        ("lock_wait", "lock_wait_seconds_count"),
    ],
)
def test_what_is_not_counted_is_found(
    dsn: str, what: str, counter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metrics, what, lambda *_: None)
    told = str(run(whole_checks(dsn)[COUNTS]()))
    assert told.startswith("I12: the metrics do not say what happened: ")
    assert counter in told


@pytest.mark.invariant("I9")
def test_a_sweeper_that_ends_after_a_timeout_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_it_fails(sweeper: Sweeper) -> None:
        while True:
            await asyncio.sleep(sweeper.interval_s)
            await sweep(sweeper.store, sweeper.batch, sweeper.limit_s)

    monkeypatch.setattr(Sweeper, "_sweep_forever", until_it_fails)
    monkeypatch.setattr("payments_verify.systems.whole.swept._LIMIT_S", 2.0)
    told = str(run(whole_checks(dsn)[SWEEPS]()))
    assert "has not expired by itself for 2 s, after a sweep whose statement 0 takes longer" in told


@pytest.mark.invariant("I9")
def test_a_client_that_hears_of_conflicts_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "_WAITS_S", (0.005,))
    told = str(run(whole_checks(dsn)[COUNTS]()))
    assert told.startswith("I9: PUT /payments/")
    assert "is not tried again after 7 conflicts" in told


@pytest.mark.invariant("I9")
def test_a_sweeper_that_waits_for_good_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_limit(
        store: PaymentStore, batch: int, _limit_s: float, batch_ended: Callable[[int], None]
    ) -> int:
        return await sweep(store, batch, None, batch_ended)

    monkeypatch.setattr(sweeper, "sweep", without_limit)
    monkeypatch.setattr(swept, "_BATCH_LIMITS_S", (0.3,))
    monkeypatch.setattr(swept, "_LIMIT_S", 2.0)
    told = str(run(whole_checks(dsn)[SWEEPS]()))
    assert "has not expired by itself for 2 s, after a sweep whose statement 0 is never answered" in told


@pytest.fixture
def unhurt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps are hurt no more than a check needs."""
    monkeypatch.setattr(swept, "_FAULTS", {"is not answered": (Fault.CUT_AFTER, (0,))})
    monkeypatch.setattr(swept, "_OF_A_SECOND_BATCH", {"is not answered": (0,)})
    monkeypatch.setattr(swept, "_BATCH_LIMITS_S", (3.0,))
    monkeypatch.setattr(swept, "_LIMIT_S", 2.0)
    monkeypatch.setattr(swept, "_COUNTED_S", 1.0)


@pytest.mark.invariant("I12")
@pytest.mark.usefixtures("unhurt")
def test_what_is_counted_at_the_end_of_a_sweep_alone_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def counted_at_its_end(
        payments: PaymentStore, batch: int, limit_s: float, batch_ended: Callable[[int], None]
    ) -> int:
        total = await sweep(payments, batch, limit_s)
        batch_ended(total)
        return total

    monkeypatch.setattr(sweeper, "sweep", counted_at_its_end)
    told = str(run(whole_checks(dsn)[SWEEPS]()))
    assert told == (
        "I12: 7 payments have expired by themselves, and 3 are counted,"
        " after a sweep whose statement 0 is not answered in its second batch"
    )


@pytest.mark.invariant("I12")
@pytest.mark.usefixtures("unhurt")
def test_a_sweep_that_failed_and_is_told_of_as_ended_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sweeper, "_beat", lambda sweeper: sweeper.swept())
    told = run(whole_checks(dsn)[SWEEPS]())
    assert told == "I12: a sweep that failed is told of as one that came to its end"


@pytest.mark.usefixtures("unhurt")
def test_a_machine_that_is_too_slow_for_a_batch_is_no_violation(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(swept._SETTINGS, "lock_timeout_ms", 1)  # noqa: SLF001 - which has to be the shorter
    monkeypatch.setattr(swept, "_BATCH_LIMITS_S", (0.0011,))
    assert "has not expired by itself" in str(run(whole_checks(dsn)[SWEEPS]()))
    monkeypatch.setattr(swept, "_BATCH_LIMITS_S", (0.0011, 10.0))
    assert run(whole_checks(dsn)[SWEEPS]()) is None


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("unhurt")
@pytest.mark.parametrize("far", [1, 2, 3])
def test_a_sweep_that_looks_only_so_far_is_found(dsn: str, far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def so_far(connection: Connection, statement: str, parameters: Any = ()) -> object:
        if statement is statements.FIND_DUE and len(parameters[0] or ()) >= far * parameters[1]:
            parameters = (parameters[0], Int8(0))
        return await batch.execute(connection, statement, parameters)

    monkeypatch.setattr(store, "_execute", so_far)
    told = str(run(whole_checks(dsn)[SWEEPS]()))
    assert "has not expired by itself for 2 s, while others hold " in told


@pytest.mark.invariant("I5")
@pytest.mark.usefixtures("unhurt")
def test_a_sweep_that_does_not_look_at_the_clock_again_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "ExpirePayments", AsOfTheEnd)
    told = str(run(whole_checks(dsn)[SWEEPS]()))
    assert told.endswith("has expired 1 µs before its window ends")


@pytest.mark.invariant("I9")
def test_a_command_that_has_no_more_time_than_a_request_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong() -> str | None:
        async with forks() as made:
            return await commanded.wrong_sweep(made, new)

    bug = CATALOGUE.edits("sweep-command-within-a-requests-time")
    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, bug)))
    with new_database(dsn) as new:
        told = str(run(wrong()))
    assert told.startswith("I9: payments-core sweep --batch 2, which should expire 5: ")


@pytest.mark.invariant("I9")
def test_a_sweeper_that_stands_still_untold_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments_verify.surface.readiness.LIMIT_S", 3.0)
    monkeypatch.setattr(Sweeper, "is_late", lambda _: False)
    with new_database(dsn) as new:
        told = run(unreadiness.wrong_standing_sweeper(new))
    assert told == "I9: the sweeper stands still, and /readyz answers 200 for 3 s"


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("bug", ["whatever has stopped", "for good"])
def test_a_process_that_is_always_ready_is_found(dsn: str, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments_verify.surface.readiness.LIMIT_S", 3.0)
    if bug == "for good":
        monkeypatch.setattr(readiness, "FRESH_S", 1e9)
        expected = "I9: the last migration is missing, and /readyz answers 200 for 3 s"
    else:
        monkeypatch.setattr(Background, "watch", lambda *_: None)
        expected = "has ended, and /readyz answers 200 for 3 s"
    assert expected in str(run(whole_checks(dsn)[READY]()))


@pytest.mark.invariant("I9")
def test_questions_whose_sessions_are_left_open_are_found(
    dsn: str, left: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(self: Readiness) -> bool:
        left.append(await self._pool._connect())  # noqa: SLF001
        return await is_fit(left[-1], self._migrations)

    monkeypatch.setattr("payments_verify.systems.whole.given_up._LIMIT_S", 0.1)
    monkeypatch.setattr(Readiness, "_ask", ask)
    told = str(run(whole_checks(dsn)[READY]()))
    assert told.startswith("I9: the last migration is missing, and ")
    assert told.endswith(" sessions stay open, of a service that may have 2")


@pytest.mark.invariant("I7")
def test_a_creation_that_is_sent_again_under_another_id_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = PaymentRoutes.create_payment

    async def again(self: PaymentRoutes, request: Request) -> Response:
        try:
            return await create(self, request)
        except OperationalError:
            return await create(self, request)

    monkeypatch.setattr(PaymentRoutes, "create_payment", again)
    told = str(run(whole_checks(dsn)[CREATIONS]()))
    assert told.startswith("I7, I11: POST /payments, with the fault 'cut after' at statement 0: ")
    assert "and has made 2 payments: " in told


@pytest.mark.invariant("I2")
@pytest.mark.parametrize(
    ("is_local", "told"),
    [
        (lambda scope: scope["server"] is not None, "with {'client': ('10.0.0.8', 80), 'server'"),
        (lambda scope: is_loopback((scope["client"] or ["::1"])[0]), "'server': ('10.0.0.8', 80)}: "),
        (lambda scope: None not in (scope["client"], scope["server"]), "with {'client': None, 'server': ('/"),
    ],
)
def test_another_machine_that_is_served_is_found(
    dsn: str, is_local: Callable[[Scope], bool], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_is_local", is_local)
    found = str(run(whole_checks(dsn)[MACHINES]()))
    assert found.startswith("I2, I11: without tokens, POST /payments with ")
    assert told in found


SAMPLES = """\
payments_captures_total{outcome="captured"} 2.0
payments_http_request_duration_seconds_count{method="GET",route="/metrics",status="200"} 7.0
payments_pool_wait_seconds_bucket{le="0.1"} 3.0
payments_pool_wait_seconds_bucket{le="+Inf"} 2.0
payments_pool_wait_seconds_count 2.0
"""


def test_every_counter_is_compared() -> None:
    expected: dict[str, Any] = {"captures_total captured": 2, "pool_wait_seconds_count": 2}
    assert "do not add up" in str(wrong_counts([], read_metrics(SAMPLES), expected))
    even = read_metrics(SAMPLES.replace('"0.1"} 3.0', '"0.1"} 1.0'))
    assert wrong_counts([], even, expected) is None
    assert wrong_counts(even, even, {"expired_total": 1}) == "expired_total: expected 1 more, got 0"
    assert "captures_total captured: expected 0 more, got 2" in str(wrong_counts([], even, {}))
