"""The service in JavaScript outlives its connections: `make test-peers`."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from payments_verify.systems import empty_databases
from pgweave.service.command import running_command
from tests.docs.pages import ROOT
from tests.support.loopback import DIRECT
from tests.support.postgres import chosen_bin_dir

INVOICES = f"exec node {ROOT}/examples/peers/invoices/server.js"

pytestmark = pytest.mark.peers


async def ended(direct: psycopg.AsyncConnection[Any], query: str) -> int:
    """End the sessions of the service whose last query begins so, and say how many there were."""
    found = await direct.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE %s",
        [f"{query}%"],
    )
    [count] = await found.fetchone() or [0]
    return int(count)


async def cut_while_it_waits(dsn: str) -> list[int]:
    """A payment whose connection is cut while it waits for the row, and the same request once more."""
    invoice, headers = f"/invoices/{uuid4()}", {"Request-Id": str(uuid4())}
    async with (
        running_command(INVOICES, {"DATABASE_URL": dsn}, "/") as running,
        httpx.AsyncClient(base_url=running.url, timeout=20, **DIRECT) as http,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as direct,
        await psycopg.AsyncConnection.connect(dsn) as holder,
    ):
        await http.put(invoice, json={"cents": 500})
        await http.post(f"{invoice}/reserve", json={"hold_us": 60_000_000})
        await holder.execute("SELECT FROM billing.invoice FOR UPDATE")
        paying = asyncio.create_task(http.post(f"{invoice}/pay", json={"cents": 500}, headers=headers))
        async with asyncio.timeout(20):
            while not await ended(direct, "SELECT * FROM billing.invoice WHERE ref = $1 FOR"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        cut = await paying
        await holder.rollback()
        again = await http.post(f"{invoice}/pay", json={"cents": 500}, headers=headers)
        await ended(direct, "")
        await asyncio.sleep(0.2)  # for the pool to hear that its idle connections are gone
        shown = await http.get(invoice)
    return [cut.status_code, again.status_code, shown.status_code]


def test_a_connection_that_is_cut_costs_one_answer_and_not_the_process() -> None:
    with empty_databases(chosen_bin_dir()) as new_database:
        statuses = asyncio.run(cut_while_it_waits(new_database()))
    assert statuses == [500, 200, 200]
