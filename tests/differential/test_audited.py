"""After the machine, races and stress, what is stored is audited: a row that no answer shows is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from payments_core.infrastructure.postgres import statements
from payments_verify.audit import complaint
from payments_verify.payments.programs.check import machine_check, opened_in
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.of_instants import clock_steps_back
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.races.check import racing_check
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import gated, in_process, on_new_database

_PAYMENT = "INSERT INTO payments (payment_id, amount_cents) VALUES (gen_random_uuid(), 1)"


@asynccontextmanager
async def loses_events(dsn: str) -> AsyncIterator[ServiceUnderTest]:
    """Has stored a payment, and no event of its creation."""
    async with in_process(dsn) as service:
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAYMENT)
        # The list would show the row, too.
        yield ServiceUnderTest(
            "loses events", service.clients, service.set_clock, service.sweep_batch, service.open_row_holder
        )


@asynccontextmanager
async def loses_events_behind_the_gate(dsn: str) -> AsyncIterator[ServiceUnderTest]:
    """The same, for races."""
    async with gated(dsn) as service:
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAYMENT)
        yield service


def by_races(open_service: OpenService, _folder: Path) -> CheckResult:
    return racing_check("it", open_service, examples=4, steps=8, seed=1)


def by_machine(open_service: OpenService, _folder: Path) -> CheckResult:
    return machine_check("it", open_service, examples=1, steps=3, seed=1)


def by_stress(open_service: OpenService, folder: Path) -> CheckResult:
    return stress_check("it", open_service, folder, rounds=2, seed=1, progress=None)


@pytest.mark.parametrize(
    ("check", "open_on", "verdict"),
    [
        (by_machine, loses_events, "violated"),
        (by_stress, loses_events, "violated"),
        (by_stress, in_process, "holds"),
        (by_races, loses_events_behind_the_gate, "violated"),
        (by_races, gated, "holds"),
    ],
)
def test_what_is_stored_is_audited(
    check: Callable[[OpenService, Path], CheckResult],
    open_on: Callable[[str], AbstractAsyncContextManager[ServiceUnderTest]],
    verdict: str,
    dsn: str,
    tmp_path: Path,
) -> None:
    found = check(partial(on_new_database, dsn, open_on, complaint), tmp_path)
    assert found.verdict == verdict, found.counterexample
    if verdict == "violated":
        assert "I12: an audit of what is stored found 1:" in (found.counterexample or "")


def after_lives(dsn: str) -> str | None:
    """What an audit finds after lives in which the clock goes back, stands still, and goes on."""
    opened = on_new_database(dsn, in_process, complaint)
    with asyncio.Runner() as runner, opened_in(opened, runner) as system:
        attributes = {"system": system, "runner": runner, "tally": Tally()}
        clock_steps_back(type("Calls", (ComparedCalls,), attributes)())
        assert system.audit is not None
        return system.audit()


def test_the_events_of_lives_explain_their_rows(dsn: str) -> None:
    assert after_lives(dsn) is None


MOVED_AT = "coalesce(failed_at, authorized_at)"
AUTHORIZED_AT = "SELECT authorized_at FROM payments WHERE payments.payment_id = attempt.payment_id"


@pytest.mark.invariant("I12")
@pytest.mark.parametrize(
    ("statement", "find", "replace"),
    [
        ("MOVE_PAYMENT", MOVED_AT, "greatest(failed_at, authorized_at)"),
        ("MOVE_PAYMENT", MOVED_AT, "least(failed_at, authorized_at)"),
        ("MOVE_PAYMENT", MOVED_AT, f"greatest({MOVED_AT}, created_at)"),
        (
            "INSERT_ATTEMPT",
            "outcome, decided_at, amount_cents, idempotency_key, sha256",
            f"outcome, greatest(decided_at, ({AUTHORIZED_AT})), amount_cents, idempotency_key, sha256",
        ),
    ],
)
def test_an_event_with_the_instant_of_another_is_found(
    statement: str, find: str, replace: str, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: str = getattr(statements, statement)
    assert text.count(find) == 1
    monkeypatch.setattr(statements, statement, text.replace(find, replace))
    assert "I12: an audit of what is stored found " in str(after_lives(dsn))
