"""A demonstration: its clock can be moved, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from payments_core.entrypoints.settings import Settings
from payments_demo import clock as demo_clock
from payments_demo.app import demonstration as demonstration_app
from payments_demo.databases import BIN_DIR_VARIABLE
from tests.support.dsn import MARKER, UNDERSTOOD
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import Server, invoke, run, serving

LIMIT_S = 30
WINDOW_S = 600


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, ["--demo"], PAYMENTS_LOG_LEVEL="warning") as running:
        yield running


def authorized(server: Server) -> str:
    path = f"{server.url}/payments/{uuid4()}"
    assert httpx.put(path, json={"amount_cents": 500}, timeout=LIMIT_S, **DIRECT).status_code == 201
    body = {"capture_window_seconds": WINDOW_S}
    assert httpx.post(f"{path}/authorize", json=body, timeout=LIMIT_S, **DIRECT).status_code == 200
    return path


def capture(path: str) -> httpx.Response:
    headers = {"Idempotency-Key": str(uuid4())}
    return httpx.post(
        f"{path}/captures", json={"amount_cents": 500}, headers=headers, timeout=LIMIT_S, **DIRECT
    )


def move(server: Server, body: object) -> httpx.Response:
    return httpx.post(f"{server.url}/demo/clock", json=body, timeout=LIMIT_S, **DIRECT)


# ---- what it can do -----------------------------------------------------------------------------


def test_past_the_window_a_capture_is_refused(demonstration: Server) -> None:
    in_time, late = authorized(demonstration), authorized(demonstration)
    assert capture(in_time).status_code == 201
    before = move(demonstration, {"advance_seconds": 0}).json()["ahead_seconds"]
    moved = move(demonstration, {"advance_seconds": WINDOW_S})
    assert (moved.status_code, moved.json()) == (200, {"ahead_seconds": before + WINDOW_S})
    refused = capture(late)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/capture_window_expired")
    assert httpx.get(late, timeout=LIMIT_S, **DIRECT).json()["state"] == "authorized"
    # The clock goes on from there.
    assert capture(authorized(demonstration)).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"advance_seconds": -1}, 422),
        ({"advance_seconds": 1.0}, 422),
        ({"advance_seconds": 2_678_402}, 422),
        ({"advance_seconds": 1, "to": "noon"}, 422),
    ],
)
def test_the_clock_goes_forward_and_by_so_much(demonstration: Server, body: object, status: int) -> None:
    assert move(demonstration, body).status_code == status


def test_the_page_has_the_button(demonstration: Server) -> None:
    assert 'id="advance"' in httpx.get(demonstration.url, timeout=LIMIT_S, **DIRECT).text
    assert "removed at the end" in demonstration.printed


@pytest.mark.anyio
async def test_the_clock_has_an_end(database: Database) -> None:
    demo_clock.install(database.dsn)
    for _ in range(117):
        await demo_clock.advance(database.dsn, 31 * 86_400)
    with pytest.raises(demo_clock.ClockAtItsEndError, match="ten years"):
        await demo_clock.advance(database.dsn, 31 * 86_400)


def test_the_services_role_cannot_move_it(database: Database) -> None:
    demo_clock.install(database.dsn)
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        for statement in (
            "UPDATE demo_clock.moved SET ahead = '1 hour'",
            "INSERT INTO demo_clock.moved VALUES (true, '1 hour')",
            "DELETE FROM demo_clock.moved",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        row = connection.execute(
            "SELECT abs(extract(epoch FROM payment_clock() - clock_timestamp()))"
        ).fetchone()
        assert row is not None
        assert row[0] < 1


# ---- what nobody else can -----------------------------------------------------------------------


def test_another_service_has_neither_route_nor_button(shared_database: Database, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_URL=shared_database.app_dsn) as server:
        answer = move(server, {"advance_seconds": 1})
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/http_404")
        page = httpx.get(server.url, timeout=LIMIT_S, **DIRECT).text
    assert "advance" not in page
    assert "demo" not in page.replace('class="demo"', "")


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (["--demo"], {"DATABASE_URL": "postgresql://db/payments"}, "unset DATABASE_URL"),
        ([], {"PAYMENTS_DEMO": "yes", "DATABASE_URL": "postgresql://db/payments"}, "unset DATABASE_URL"),
        (["--demo", "--data", "/tmp/kept"], {}, "leave --data out"),
        (
            ["--demo", "--host", "0.0.0.0"],
            {"PAYMENTS_ALLOW_UNAUTHENTICATED": "yes"},
            "loopback addresses only, and 0.0.0.0 is none",
        ),
        (["--demo", "--host", "0.0.0.0"], {}, "loopback addresses only, and 0.0.0.0 is none"),
    ],
)
def test_what_is_no_place_for_a_demonstration(
    arguments: list[str], variables: dict[str, str], says: str
) -> None:
    ended = invoke(["serve", *arguments], variables)
    assert ended.exit_code == 2
    assert says in ended.stderr


def test_a_service_does_not_start_on_such_a_database(database: Database) -> None:
    demo_clock.install(database.dsn)
    ended = invoke(["serve", "--port", "0"], {"DATABASE_URL": database.dsn})
    assert ended.exit_code == 2
    assert "the clock of this database can be moved" in ended.stderr


def test_there_is_no_demonstration_on_another_database(database: Database) -> None:
    """As where another server than `payments-core serve` runs it."""
    settings = Settings(database_url=database.dsn)
    with pytest.raises(ValueError, match="payments-core serve --demo"):
        demonstration_app(settings)
    demo_clock.install(database.dsn)
    assert demonstration_app(settings) is not None


def test_no_traceback_has_a_password() -> None:
    program = "from payments_demo.app import with_page_and_clock; with_page_and_clock()"
    ended = run([], {"DATABASE_URL": UNDERSTOOD[0], "PAYMENTS_LOG_LEVEL": "debug"}, program)
    assert ended.returncode != 0
    assert "Error" in ended.stderr
    assert MARKER not in ended.stdout + ended.stderr


@pytest.mark.parametrize("arguments", [[], ["--demo"]], ids=["kept", "demonstration"])
def test_programs_that_are_not_there(arguments: list[str], tmp_path: Path) -> None:
    ended = invoke(["serve", "--port", "0", *arguments], {BIN_DIR_VARIABLE: str(tmp_path)})
    assert ended.exit_code == 2
    assert f"{BIN_DIR_VARIABLE}={tmp_path}: {tmp_path} does not hold both postgres and initdb" in ended.stderr
