"""Behind PgBouncer: in each mode the service serves as without it, or refuses to start and says why."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.migrate import pending
from tests.support.guarded import guarded_over
from tests.support.loopback import DIRECT
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Database
from tests.support.processes import run, serving

pytestmark = pytest.mark.anyio

LIMIT_S = 60.0
PAYMENTS = 8
RACERS = 10
FEW, ENOUGH = 4, 20
"""Sessions that a pooler has: fewer than the service has connections, or as many."""


async def race(http: httpx.AsyncClient) -> Counter[int]:
    """The answers to captures of one payment that run together, or to what fails before them."""
    created = await http.post("/payments", json={"amount_cents": 500})
    if created.status_code != 201:
        return Counter([created.status_code])
    url = created.headers["location"]
    authorized = await http.post(f"{url}/authorize", json={"capture_window_seconds": 600})
    captured = await asyncio.gather(
        *(
            http.post(f"{url}/captures", json={"amount_cents": 500}, headers={"Idempotency-Key": f"key {n}"})
            for n in range(RACERS)
        )
    )
    return Counter(answer.status_code for answer in (authorized, *captured))


@pytest.mark.parametrize(
    ("mode", "told", "size"),
    [
        ("session", "session", ENOUGH),
        ("session", "transaction", ENOUGH),
        ("transaction", "transaction", FEW),
    ],
)
async def test_races_have_one_winner(
    database: Database, tmp_path: Path, mode: str, told: str, size: int
) -> None:
    with (
        pgbouncer(database.dsn, mode, size) as dsn,
        serving(tmp_path, DATABASE_URL=dsn, PAYMENTS_POOLER_MODE=told) as service,
    ):
        async with httpx.AsyncClient(base_url=service.url, timeout=LIMIT_S, **DIRECT) as http:
            for _ in range(3):
                answers = await asyncio.gather(*(race(http) for _ in range(PAYMENTS)))
                assert answers == [Counter({200: 1, 201: 1, 409: RACERS - 1})] * PAYMENTS


@pytest.mark.parametrize("told", ["session", "transaction"])
async def test_each_transaction_has_the_settings_of_a_session(database: Database, told: str) -> None:
    mode = {"session": ENOUGH, "transaction": 1}
    settings = Settings(pool_min=3, pool_max=3, pooler_mode=told, lock_timeout_ms=4321)  # type: ignore[arg-type]
    with pgbouncer(database.dsn, told, mode[told]) as dsn:
        async with make_pool(settings.model_copy(update={"database_url": dsn})) as pool:
            for begin in ("SELECT", "BEGIN ISOLATION LEVEL READ COMMITTED"):
                for _ in range(4):
                    async with pool.connection() as connection:
                        batch = Batch(connection)
                        batch.add(begin)
                        shown = batch.add(
                            "SELECT current_user::text, current_setting('lock_timeout'),"
                            " split_part(current_setting('search_path'), ',', 1)"
                        )
                        await batch.send()
                        assert shown.row() == ("payments_app", "4321ms", "public")


async def test_sessions_that_are_lent_for_a_transaction_are_refused(database: Database) -> None:
    with pgbouncer(database.dsn, "transaction") as dsn:
        refused = run(["serve", "--port", "0"], {"DATABASE_URL": dsn})
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
        assert "PAYMENTS_POOLER_MODE=transaction" in refused.stderr
        refused = run(["migrate"], {"DATABASE_URL": dsn})
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
        assert "name the server itself" in refused.stderr


async def test_one_that_was_not_seen_makes_no_failure(database: Database) -> None:
    """As from a pooler that was busy when the service started."""
    with pgbouncer(database.dsn, "transaction", FEW) as dsn:
        async with (
            make_pool(Settings(database_url=dsn)) as pool,
            guarded_over(postgres_store(pool)) as service,
        ):
            answers = [await race(service.http) for _ in range(PAYMENTS)]
    assert {status for each in answers for status in each} <= {200, 201, 409, 503}
    assert 503 in {status for each in answers for status in each}
    assert max(each[201] for each in answers) <= 1


async def test_options_that_the_pooler_refuses(database: Database) -> None:
    with pgbouncer(database.dsn, "session") as dsn:
        refused = run(
            ["serve", "--port", "0"], {"DATABASE_URL": make_conninfo(dsn, options="-c lock_timeout=1s")}
        )
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert "unsupported startup parameter: options" in refused.stderr


async def test_it_migrates_where_sessions_are_kept(empty_database: Database) -> None:
    with pgbouncer(empty_database.dsn, "session") as dsn:
        applied = run(["migrate"], {"DATABASE_URL": dsn})
        assert (applied.returncode, applied.stderr) == (0, "")
        assert pending(empty_database.dsn) == []
