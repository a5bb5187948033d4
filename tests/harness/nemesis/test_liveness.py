"""What stands still at the end of a window is seen: a due payment, a sweeper, a task, a process not ready."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
import pytest

from payments_verify.nemesis import liveness
from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.load import Habits, Load
from payments_verify.payments.observed.observations import Invocation
from pgweave.history.recorder import Recorder
from tests.support.postgres import Database
from tests.support.rows import AUTHORIZED, insert, payment, update


class Cluster:
    """Stands for a deployment and its cluster."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.cluster = self

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            yield connection


def service(*, sweeps: bool = True, stopped: str = "", unready: float = 0) -> httpx.MockTransport:
    """A process that says this of itself; so often that it is not ready."""
    swept, asked = count(1), count()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            return httpx.Response(503 if next(asked) < unready else 200, text="why not")
        tasks = "".join(
            f'payments_background_task_running{{task="{task}"}} {float(task != stopped)}\n'
            for task in ("pool", "sweeper")
        )
        at = next(swept) if sweeps else 1
        return httpx.Response(200, text=f"payments_last_sweep_timestamp_seconds 1.{at}e+09\n{tasks}")

    return httpx.MockTransport(answer)


def found(dsn: str, process: httpx.MockTransport) -> list[str]:
    async def run() -> list[str]:
        async with httpx.AsyncClient(transport=process, base_url="http://s") as http:
            return await liveness.stands_still(cast("Deployment", Cluster(dsn)), [http])

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "EXPIRY_LIMIT_S", 0.3)


@pytest.mark.parametrize("unready", [0, 1])
def test_all_goes_on(database: Database, unready: int) -> None:
    """Also where a process learns that its connection is dead when it is asked whether it is ready."""
    assert found(database.dsn, service(unready=unready)) == []


@pytest.mark.parametrize(
    ("process", "what"),
    [
        (service(sweeps=False), "has not swept"),
        (service(stopped="sweeper"), "does not run any more: sweeper"),
        (service(unready=inf), "has not been ready for 0.3 s: why not"),
    ],
    ids=["no sweep", "a task has ended", "not ready"],
)
def test_a_process_that_stands_still(database: Database, process: httpx.MockTransport, what: str) -> None:
    (complaint,) = found(database.dsn, process)
    assert complaint.startswith("I9: ")
    assert what in complaint


def test_a_payment_that_does_not_expire(database: Database) -> None:
    due, later = payment(), payment()
    with psycopg.connect(database.dsn) as owner:
        for row, end in ((due, "now"), (later, "infinity")):
            insert(owner, "payments", row)
            window = {"state": "authorized", "authorized_at": AUTHORIZED, "capture_expires_at": end}
            update(owner, row["payment_id"], window)
    (complaint,) = found(database.dsn, service())
    assert "1 payments are due" in complaint


_HEADERS = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": "1",
    "x-content-type-options": "nosniff",
}
_NO_SUCH_PAYMENT = {
    "type": "/problems/payment_not_found",
    "status": 404,
    "title": "There is no such payment",
    "detail": "Nothing is known of it.",
}


@pytest.mark.parametrize("is_repaired", [False, True])
def test_a_request_without_an_answer_is_wrong_once_all_is_repaired(tmp_path: Path, is_repaired: bool) -> None:
    asked = count()

    def answer(request: httpx.Request) -> httpx.Response:
        if next(asked) == 0:
            raise httpx.ReadTimeout("no answer within 8 s", request=request)
        own = {"x-request-id": request.headers.get("x-request-id", "1")}
        return httpx.Response(404, headers={**_HEADERS, **own}, json=_NO_SUCH_PAYMENT)

    async def run() -> list[str]:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as http:
            with Recorder(tmp_path / "h.jsonl", spec="payments") as recorder:
                load = Load([http], recorder, Habits(disconnect=0), random.Random(1))
                if is_repaired:
                    load.expect_answers()
                await load.send_command(
                    Invocation("read", {"payment": "5f3c1d3e-0000-4000-8000-000000000000"})
                )
        return load.tally.findings

    findings = asyncio.run(run())
    assert ["no answer within 8 s" in each for each in findings] == [True] * is_repaired
