"""What the service tells of itself: request ids, log lines without secrets, metrics, and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import structlog

from payments_core.entrypoints import bulk
from payments_core.entrypoints.logs import configure_logs, describe_failure, stamp
from payments_core.entrypoints.metrics import MULTIPROCESS_VARIABLE, Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import postgres_app, postgres_store
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.api import problem, running
from tests.support.guarded import guarded_over, sample_of
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, serving
from tests.support.rows import AUTHORIZED, insert, payment, update
from tests.support.stores import NOON, Kit, PostgresKit, stored

LIMIT_S = 30.0
LATE_S = bulk.LATE_S
KEY = "key-that-nobody-may-see"
TOKEN = "pay_token-that-nobody-may-see"
TOKEN_HASH = hashlib.sha256(TOKEN.encode()).hexdigest()


# ---- request ids --------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("given", ["a", "0" * 64, "3f6c:1-2_3.4~5", str(UUID(int=7))])
async def test_a_request_id_is_echoed(memory: Kit, given: str) -> None:
    async with guarded_over(memory.store) as service:
        for path in ("/healthz", "/payments", "/nowhere"):
            answer = await service.http.get(path, headers={"X-Request-ID": given})
            assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.anyio
@pytest.mark.parametrize("given", [[], [""], ["0" * 65], ["a b"], ['a"'], ["é"], ["-a"], ["a", "b"]], ids=str)
async def test_what_is_no_id_is_replaced(memory: Kit, given: list[str]) -> None:
    async with guarded_over(memory.store) as service:
        fields = [(b"x-request-id", each.encode()) for each in given]
        made = [
            (await service.http.get("/payments", headers=fields)).headers["x-request-id"] for _ in range(2)
        ]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert made[0] != made[1]


@pytest.mark.anyio
async def test_a_replay_has_the_id_of_its_own_request_and_the_body_of_the_first(memory: Kit) -> None:
    async with guarded_over(memory.store) as service:
        path = f"/payments/{uuid4()}"
        await service.http.put(path, json={"amount_cents": 500})
        await service.http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        answers = [
            await service.http.post(
                f"{path}/captures",
                json={"amount_cents": 500},
                headers={"Idempotency-Key": "key", "X-Request-ID": request_id},
            )
            for request_id in ("first", "second")
        ]
    assert [each.headers["x-request-id"] for each in answers] == ["first", "second"]
    assert answers[0].content == answers[1].content
    for attempt in (await memory.contents()).attempts.values():
        assert b"first" not in attempt.answer.body


@pytest.mark.anyio
async def test_an_error_that_was_answered_has_its_id_and_ends_there() -> None:
    class Failing(InMemoryPaymentStore):
        async def get(self, _payment_id: UUID) -> None:
            raise RuntimeError("broken")

    async with guarded_over(Failing(lambda: NOON)) as service:
        with structlog.testing.capture_logs([stamp]) as logs:
            answer = await service.http.get(f"/payments/{uuid4()}", headers={"X-Request-ID": "mine"})
            await asyncio.sleep(5 * LATE_S)
    problem(answer, 500, "internal_error")
    assert answer.headers["x-request-id"] == "mine"
    assert [(each["event"], each["request_id"]) for each in logs] == [
        ("request failed", "mine"),
        ("request", "mine"),
    ]
    assert logs[1]["status"] == "500"
    assert logs[1]["route"] == "/payments/{payment_id}"


# ---- logs ---------------------------------------------------------------------------------------


def race(server: Server, headers: dict[str, str]) -> None:
    """Everything that a client may do with a key and a token, rightly and wrongly."""
    with httpx.Client(base_url=server.url, timeout=LIMIT_S, headers=headers, **DIRECT) as http:
        path = f"/payments/{uuid4()}"
        http.put(path, json={"amount_cents": 500})
        http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        for key in (KEY, KEY, f'"{KEY}"', f'"{KEY}', KEY * 20, f"{KEY}é".encode()):
            for cents in (500, 501):
                fields: Any = {"Idempotency-Key": key}
                http.post(f"{path}/captures", json={"amount_cents": cents}, headers=fields)
        http.get(f"{path}/captures")
        http.get("/payments", params={"key": KEY})
        http.get(f"/{KEY}/{TOKEN}")
        http.get(path, headers={"Authorization": f"Basic {TOKEN}"})
        http.get(path, headers={"Authorization": f"Bearer {TOKEN}x"})


def test_every_line_is_json_and_none_has_a_key_or_a_token(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.dsn) as owner:
        # So that a capture fails inside the database, whose error then quotes the row.
        owner.execute("ALTER TABLE capture_attempts ADD CHECK (outcome <> 'already_captured')")
    settings = {"PAYMENTS_TOKENS": TOKEN_HASH, "PAYMENTS_LOG_LEVEL": "debug"}
    with serving(tmp_path, DATABASE_URL=database.app_dsn, **settings) as server:
        race(server, {"Authorization": f"Bearer {TOKEN}"})
        with httpx.Client(base_url=server.url, timeout=LIMIT_S, **DIRECT) as http:
            path = f"/payments/{next(iter(stored(database.dsn).payments))}"
            failed = http.post(
                f"{path}/captures",
                json={"amount_cents": 500},
                headers={"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": f"{KEY}-2"},
            )
        assert failed.status_code == 500
        assert server.stop() == 0
        printed = server.printed
    assert KEY not in printed
    assert TOKEN not in printed
    assert TOKEN_HASH not in printed
    said = ("database ", "  ", "serving on ")  # on standard output, for people
    lines = [json.loads(line) for line in printed.splitlines() if not line.startswith(said)]
    assert {"event", "level", "timestamp"} <= set.intersection(*(set(line) for line in lines))
    assert "uvicorn.error" in {line.get("logger") for line in lines}
    requests = [line for line in lines if line["event"] == "request"]
    assert {line["route"] for line in requests} >= {
        "/payments/{payment_id}",
        "/payments/{payment_id}/captures",
        "unmatched",
        "/readyz",
    }
    for line in requests:
        assert {"method", "route", "status", "duration_ms", "request_id"} <= set(line)
        assert line["duration_ms"] > 0
    captures = [line for line in requests if "outcome" in line]
    assert [(line["outcome"], line["replayed"]) for line in captures] == [
        ("captured", False),
        ("captured", True),
        ("captured", True),
    ]
    (failure,) = [line for line in lines if line["event"] == "request failed"]
    assert "CheckViolation: 23514 new row for relation" in failure["exception"]
    assert "Failing row contains" not in failure["exception"]


def test_a_chain_of_failures_is_described_whole_without_values() -> None:
    def fail() -> None:
        try:
            int("first")
        except ValueError as error:
            raise RuntimeError("second") from error

    try:
        fail()
    except RuntimeError as error:
        told = describe_failure(None, "", {"event": "x", "exc_info": error})["exception"]
        assert describe_failure(None, "", {"exc_info": True})["exception"] == told
    assert (
        told.index("ValueError: invalid literal")
        < told.index("because of that")
        < told.index("RuntimeError: second")
    )
    assert "in fail" in told
    assert describe_failure(None, "", {"event": "x"}) == {"event": "x"}
    assert describe_failure(None, "", {"event": "x", "exc_info": None}) == {"event": "x"}


@contextmanager
def logging_at(level: str) -> Iterator[None]:
    """Within the block logs are as the service has them."""
    kept, before = list(logging.getLogger().handlers), logging.getLogger().level
    try:
        configure_logs(level)
        yield
    finally:
        logging.getLogger().handlers[:] = kept
        logging.getLogger().setLevel(before)
        structlog.reset_defaults()


def test_what_libraries_log_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_at("warning"):
        configure_logs("warning")
        logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool-1", "refused")
        logging.getLogger("psycopg.pool").info("too fine")
    (line,) = [json.loads(each) for each in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["level"]) == ("error connecting in 'pool-1': refused", "warning")
    assert line["logger"] == "psycopg.pool"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_last_requests_before_the_end_have_their_lines(
    shared_database: Database, tmp_path: Path, workers: str
) -> None:
    with serving(tmp_path, ["--workers", workers], DATABASE_URL=shared_database.app_dsn) as server:
        for number in range(9):
            named = {"X-Request-ID": f"last-{number}"}
            assert (
                httpx.get(f"{server.url}/payments", headers=named, timeout=LIMIT_S, **DIRECT).status_code
                == 200
            )
        assert server.stop() == 0
        told = [line for line in server.printed.splitlines() if '"request"' in line]
    assert [json.loads(line)["request_id"] for line in told] == [f"last-{number}" for number in range(9)]


@pytest.mark.anyio
async def test_requests_are_told_of_together_each_as_it_was(
    memory: Kit, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_at("info"):
        async with guarded_over(memory.store) as service:
            for number in range(5):
                named = {"X-Request-ID": f"mine-{number}"}
                began = datetime.now(UTC)
                await service.http.get("/payments", headers=named)
                ended = datetime.now(UTC)
                structlog.get_logger().info("another", began=str(began), ended=str(ended))
            await asyncio.sleep(5 * LATE_S)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    others = [line for line in lines if line["event"] == "another"]
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["request_id"] for line in requests] == [f"mine-{number}" for number in range(5)]
    assert {"request_id"} & {key for line in others for key in line} == set()
    for request, other in zip(requests, others, strict=True):
        began, at, ended = map(datetime.fromisoformat, (other["began"], request["timestamp"], other["ended"]))
        assert began <= at <= ended


@pytest.mark.anyio
async def test_many_requests_wait_for_nobody(memory: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LATE_S", 1000 * LIMIT_S)
    async with guarded_over(memory.store) as service:
        with structlog.testing.capture_logs([stamp]) as logs:
            for _ in range(250):
                await service.http.get("/payments")
    assert len(logs) == 200


@pytest.mark.anyio
async def test_what_is_untold_is_told_when_the_application_ends(
    shared_database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LATE_S", 1000 * LIMIT_S)
    with logging_at("info"):
        app = postgres_app(Settings(database_url=shared_database.app_dsn))
        async with running(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                await http.get("/payments", headers={"X-Request-ID": "the-last"})
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines if line["event"] == "request"] == ["the-last"]


# ---- metrics ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_captures_by_outcome_and_replays(memory: Kit) -> None:
    async with guarded_over(memory.store) as service:
        path = f"/payments/{uuid4()}"
        await service.http.put(path, json={"amount_cents": 500})
        await service.http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        for key, cents in (("a", 501), ("b", 500), ("b", 500), ("b", 500), ("c", 500), ("a", 501), ("b", 1)):
            headers = {"Idempotency-Key": key}
            await service.http.post(f"{path}/captures", json={"amount_cents": cents}, headers=headers)
        await service.http.request("BREW", path)
        await service.http.get("/nowhere/at/all")
        count = "payments_http_request_duration_seconds_count"
        expected = {
            'payments_captures_total{outcome="captured"}': 1,
            'payments_captures_total{outcome="amount_mismatch"}': 1,
            'payments_captures_total{outcome="already_captured"}': 1,
            'payments_capture_replays_total{outcome="captured"}': 2,
            'payments_capture_replays_total{outcome="amount_mismatch"}': 1,
            f'{count}{{method="POST",route="/payments/{{payment_id}}/captures",status="201"}}': 3,
            f'{count}{{method="POST",route="/payments/{{payment_id}}/captures",status="422"}}': 3,
            f'{count}{{method="other",route="/payments/{{payment_id}}",status="405"}}': 1,
            f'{count}{{method="GET",route="unmatched",status="404"}}': 1,
            "payments_http_requests_in_flight": 0,
        }
        assert {name: service.metric(name) for name in expected} == expected
        page = await service.http.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain; version=")
        assert path.removeprefix("/payments/") not in page.text


@pytest.mark.anyio
async def test_what_nobody_looks_at_is_counted_all_the_same() -> None:
    metrics = Metrics()
    for _ in range(2_500):
        metrics.lock_wait(0.5)
    assert len(metrics.noted) == 500
    await asyncio.sleep(5 * LATE_S)
    assert len(metrics.noted) == 0  # another process may be asked, which knows what has been counted
    metrics.pool_wait(0.5)
    exposition = metrics.exposition().decode()
    assert sample_of(exposition, "payments_lock_wait_seconds_sum") == 1250
    assert sample_of(exposition, "payments_pool_wait_seconds_sum") == 0.5


def test_metrics_need_no_event_loop() -> None:
    metrics = Metrics()
    metrics.expired(3)
    assert sample_of(metrics.exposition().decode(), "payments_expired_total") == 3


@pytest.mark.anyio
async def test_waits_are_measured(postgres: PostgresKit) -> None:
    metrics = Metrics()
    store = postgres_store(postgres.pool, waits=metrics)
    async with guarded_over(store, metrics=metrics) as service:
        path = f"/payments/{uuid4()}"
        await service.http.put(path, json={"amount_cents": 500})
        async with store.lock(UUID(path.removeprefix("/payments/"))):
            waiting = asyncio.create_task(
                service.http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
            )
            await asyncio.sleep(0.3)
        await waiting
        assert service.metric("payments_lock_wait_seconds_count") == 2
        waited = service.metric("payments_lock_wait_seconds_sum")
        assert waited is not None
        assert waited > 0.2


def scraped(server: Server, sample: str, value: float) -> str:
    """The page of metrics, once it says so: what another process has counted stands there 10 ms later."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        page = httpx.get(f"{server.url}/metrics", timeout=LIMIT_S, **DIRECT).text
        found = sample_of(page, sample)
        if found == value:
            return page
        assert time.monotonic() < deadline, found
        time.sleep(5 * LATE_S)


def test_several_processes_count_together(shared_database: Database, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "TMPDIR": str(tmp_path)}
    with serving(tmp_path, ["--workers", "2"], **settings) as server:
        assert len(list(tmp_path.glob("payments-core-metrics-*"))) == 1

        def create(_: int) -> int:
            return httpx.post(
                f"{server.url}/payments", json={"amount_cents": 5}, timeout=LIMIT_S, **DIRECT
            ).status_code

        with ThreadPoolExecutor(8) as clients:
            assert set(clients.map(create, range(60))) == {201}
        name = 'payments_http_request_duration_seconds_count{method="POST",route="/payments",status="201"}'
        for _ in range(6):  # whichever process is asked
            page = scraped(server, name, 60)
            scraped(server, "payments_http_requests_in_flight", 1)
        waited = sample_of(page, "payments_pool_wait_seconds_count")
        assert waited is not None
        assert waited >= 60
        assert server.stop() == 0
    assert list(tmp_path.glob("payments-core-metrics-*")) == []


@pytest.mark.anyio
async def test_processes_that_died_have_nothing_in_flight(
    memory: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    dead, alive = tmp_path / f"gauge_livesum_{2**22 + 1}.db", tmp_path / f"gauge_livesum_{os.getpid()}.db"
    for file in (dead, alive):
        file.write_bytes(b"\0" * 1024)
    async with guarded_over(memory.store) as service:
        assert (await service.http.get("/metrics")).status_code == 200
    assert (dead.exists(), alive.exists()) == (False, True)


# ---- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_not_ready_before_it_ends_and_finishes_what_it_began(
    database: Database, tmp_path: Path, workers: str
) -> None:
    settings = {"DATABASE_URL": database.app_dsn, "PAYMENTS_DRAIN_S": "2"}
    with serving(tmp_path, ["--workers", workers], **settings) as server:
        path = f"/payments/{uuid4()}"
        assert (
            httpx.put(f"{server.url}{path}", json={"amount_cents": 5}, timeout=LIMIT_S, **DIRECT).status_code
            == 201
        )
        with psycopg.connect(database.dsn) as holder, ThreadPoolExecutor(1) as client:
            row = [path.removeprefix("/payments/")]
            holder.execute("SELECT FROM payments WHERE payment_id = %s FOR UPDATE", row)
            window = {"capture_window_seconds": 60}
            late = client.submit(httpx.post, f"{server.url}{path}/authorize", json=window, timeout=LIMIT_S)
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + LIMIT_S
            while (ready := httpx.get(f"{server.url}/readyz", timeout=LIMIT_S, **DIRECT)).status_code == 200:
                assert time.monotonic() < deadline
            assert "about to end" in problem(ready, 503, "unavailable")["detail"]
            assert ready.headers["retry-after"] == "1"
            assert httpx.get(f"{server.url}{path}", timeout=LIMIT_S, **DIRECT).status_code == 200
            assert httpx.get(f"{server.url}/healthz", timeout=LIMIT_S, **DIRECT).status_code == 200
            time.sleep(0.5)
            holder.rollback()
            assert late.result(LIMIT_S).status_code == 200
        assert server.process.wait(LIMIT_S) == 0
        assert "draining" in server.printed
        assert "Traceback" not in server.printed
    with psycopg.connect(database.dsn) as owner:
        left = owner.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'payments-core'"
        ).fetchone()
    assert left == (0,)


# ---- the sweeper --------------------------------------------------------------------------------


def test_the_sweeper_runs_beside_the_requests_and_ends_with_them(database: Database, tmp_path: Path) -> None:
    due, later = [payment() for _ in range(25)], payment()
    with psycopg.connect(database.dsn) as owner:
        for row in (*due, later):
            insert(owner, "payments", row)
        for rows, end in ((due, "now"), ([later], "infinity")):
            for row in rows:
                window = {"state": "authorized", "authorized_at": AUTHORIZED, "capture_expires_at": end}
                update(owner, row["payment_id"], window)
    settings = {"PAYMENTS_SWEEP_INTERVAL_S": "0.1", "PAYMENTS_SWEEP_BATCH": "10"}
    with serving(tmp_path, ["--workers", "2"], DATABASE_URL=database.app_dsn, **settings) as server:
        deadline = time.monotonic() + LIMIT_S
        while count_failed(database) < 25:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        scraped(server, "payments_expired_total", 25)
        assert server.stop() == 0
        assert "Traceback" not in server.printed
    assert count_failed(database) == 25


def count_failed(database: Database) -> int:
    with psycopg.connect(database.dsn) as owner:
        row = owner.execute("SELECT count(*) FROM payments WHERE failure_reason = 'expired'").fetchone()
    assert row is not None
    count: int = row[0]
    return count


def test_by_default_no_statement_runs_without_a_request() -> None:
    assert Settings().sweep_interval_s == 0
