"""Refusals that were stored before the bound was what it is: a bound that does not hold for them is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx
import psycopg
import pytest

from payments_core.application import use_cases
from payments_core.domain.capture import decide_capture
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.processes.asked import Served
from payments_verify.systems.processes.forked import Process
from payments_verify.systems.processes.kept_refusals import wrong_bound
from tests.support.exploring import run

FEW, MANY = 2, 1_100


@pytest.fixture
def new(dsn: str) -> Iterator[str]:
    with new_database(dsn) as made:
        yield made


async def told(dsn: str, bound: int, serves: Callable[[int], int] = int) -> str | None:
    """What is found of a service with a bound, or with what it makes of it."""
    with nothing_logged():
        return await _told(dsn, bound, serves(bound))


async def _told(dsn: str, bound: int, served: int) -> str | None:
    async with make_pool(Settings(database_url=dsn)) as pool:
        app = create_app(postgres_store(pool), max_stored_refusals=served)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://payments") as http:
            return await wrong_bound(Served(cast("Process", None), http, "payments", 0), dsn, "", bound)


@pytest.mark.invariant("I11")
def test_a_bound_that_is_met_by_an_equality_is_found(new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decided(payment: Any, key: Any, amount: Any, now: int, left: int) -> Any:
        return decide_capture(payment, key, amount, now, abs(left))

    monkeypatch.setattr(use_cases, "decide_capture", decided)
    found = str(run(told(new, FEW)))
    assert found.startswith("I11: a capture under the key 'first': 422 ")
    assert found.endswith("not 429, where PAYMENTS_MAX_STORED_REFUSALS=2 and 3 had been stored")


@pytest.mark.invariant("I11")
@pytest.mark.parametrize(
    "serves",
    [lambda bound: min(bound, MAX_STORED_REFUSALS), lambda bound: bound - 1, lambda bound: bound + 1],
)
def test_another_bound_is_found(new: str, serves: Callable[[int], int]) -> None:
    assert str(run(told(new, MANY, serves))).startswith("I11: a capture under the key ")


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (MANY + 4, "I9: a payment may have 2103 refusals, which cannot be stored: "),
        (MANY + 2, "I9: a capture under the key 'captures': 500 "),
        (MANY + 1, "I9: a capture under the key 'first': 500 "),
        (MAX_STORED_REFUSALS + 3, "I9: a payment may have 1099 refusals, which cannot be stored: "),
    ],
)
def test_a_schema_that_numbers_fewer_events_is_found(new: str, most: int, expected: str) -> None:
    with psycopg.connect(new) as connection:
        connection.execute(f"ALTER TABLE payment_events ADD CHECK (event_number <= {most})".encode())
    assert str(run(told(new, MANY))).startswith(expected)
