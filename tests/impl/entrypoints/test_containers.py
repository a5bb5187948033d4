"""The composition of containers: what its services log in as, whom they serve, and of which images."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import invoke, run, serving

ROOT = Path(__file__).parents[3]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
LOGIN = ROOT / "docker" / "login.py"
EXACT = re.compile(r"[a-z0-9./-]+:(?:\d+\.){1,2}\d+(?:-[a-z0-9.-]+)?(?:@sha256:[0-9a-f]{64})?")
ONLY_HERE = {
    "API_ADDRESS": "127.0.0.1",
    "API_PASSWORD": "only-for-local-use",
    "POSTGRES_PASSWORD": "only-for-local-use",
    "PAYMENTS_TOKENS": "",
    "PAYMENTS_ALLOW_UNAUTHENTICATED": "",
}
SECOND_PASSWORD = "it's \\ @/ second"
ELSEWHERE = {
    **ONLY_HERE,
    "API_ADDRESS": "0.0.0.0",
    "API_PASSWORD": "one",
    "POSTGRES_PASSWORD": "other",
    "PAYMENTS_TOKENS": "read:" + "0" * 64,
}


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("login", LOGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


login = loaded()


# ---- the files ----------------------------------------------------------------------------------


def test_images_have_an_exact_version() -> None:
    built = {each["image"] for each in SERVICES.values() if "build" in each}
    images = {each["image"] for each in SERVICES.values()} - built
    images |= set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(images) == 2
    assert [each for each in images if not EXACT.fullmatch(each)] == []
    assert not any(map(EXACT.fullmatch, ["postgres:18", "postgres:latest", "postgres", "python:3-slim"]))


def test_the_service_logs_in_as_no_owner() -> None:
    owner = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    given = SERVICES["api"]["environment"]
    assert conninfo_to_dict(given["DATABASE_URL"])["user"] == login.LOGIN != owner
    assert "POSTGRES_PASSWORD" not in str(given)
    for name in ("migrate", "login"):
        assert conninfo_to_dict(SERVICES[name]["environment"]["DATABASE_URL"])["user"] == owner


def test_it_is_served_once_there_is_the_login() -> None:
    assert SERVICES["api"]["depends_on"]["login"]["condition"] == "service_completed_successfully"
    assert SERVICES["login"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["login"]["entrypoint"][-1].removeprefix("/opt/payments/") == LOGIN.name
    assert f"docker/{LOGIN.name}" in DOCKERFILE
    assert f"!docker/{LOGIN.name}\n" in (ROOT / ".dockerignore").read_text()


def test_the_image_is_built_from_the_service_alone() -> None:
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split()
    allowed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)
    assert not {"harness", "model", "tests"} & set(copied)


def test_it_is_published_where_the_check_looks() -> None:
    (port,) = SERVICES["api"]["ports"]
    address = SERVICES["login"]["environment"]["API_ADDRESS"]
    assert port.startswith(f"{address}:")
    assert address == "${API_ADDRESS:-127.0.0.1}"
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["api"]
    asked = SERVICES["login"]["environment"]
    for name in ("API_PASSWORD", "POSTGRES_PASSWORD"):
        assert asked[name] == f"${{{name}:-{login.DEMO_PASSWORD}}}"
    assert SERVICES["api"]["environment"]["PGPASSWORD"] == asked["API_PASSWORD"]
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"] == asked["POSTGRES_PASSWORD"]


# ---- whom it may serve --------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_what_is_for_trying_out_is_served_on_loopback(address: str) -> None:
    assert login.unsafe({**ONLY_HERE, "API_ADDRESS": address}) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "payments.example", "localhost", ""])
def test_what_is_for_trying_out_is_served_nowhere_else(address: str) -> None:
    assert "API_PASSWORD is the one of the demonstration" in login.unsafe(
        {**ONLY_HERE, "API_ADDRESS": address}
    )


def test_elsewhere_it_has_passwords_and_tokens_of_its_own() -> None:
    assert login.unsafe(ELSEWHERE) is None
    for name, says in (
        ("API_PASSWORD", "API_PASSWORD is the one of the demonstration"),
        ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD is the one of the demonstration"),
        ("PAYMENTS_TOKENS", "no PAYMENTS_TOKENS"),
    ):
        assert says in login.unsafe({**ELSEWHERE, name: ONLY_HERE[name]})
    assert login.unsafe({**ELSEWHERE, "PAYMENTS_TOKENS": "", "PAYMENTS_ALLOW_UNAUTHENTICATED": "yes"}) is None


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0"])
def test_what_is_blank_is_nothing(blank: str) -> None:
    assert "no PAYMENTS_TOKENS" in login.unsafe({**ELSEWHERE, "PAYMENTS_TOKENS": blank})
    assert "no PAYMENTS_TOKENS" in login.unsafe(
        {**ELSEWHERE, "PAYMENTS_TOKENS": blank, "PAYMENTS_ALLOW_UNAUTHENTICATED": blank}
    )
    for name in ("API_PASSWORD", "POSTGRES_PASSWORD"):
        assert f"{name} is blank" in login.unsafe({**ELSEWHERE, name: blank})
        assert f"{name} is the one" in login.unsafe({**ELSEWHERE, name: ONLY_HERE[name] + blank})


@pytest.mark.parametrize("value", ["no", "false", "0", "perhaps", ""])
def test_only_a_yes_lets_everybody_in(value: str) -> None:
    asked = {**ELSEWHERE, "PAYMENTS_TOKENS": "", "PAYMENTS_ALLOW_UNAUTHENTICATED": value}
    assert "no PAYMENTS_TOKENS" in login.unsafe(asked)


def test_the_check_ends_the_start() -> None:
    ended = run([], {**ONLY_HERE, "API_ADDRESS": "0.0.0.0"}, LOGIN.read_text())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("API_PASSWORD is the one of the demonstration, and API_ADDRESS=0.0.0.0")


# ---- the login ----------------------------------------------------------------------------------


@pytest.fixture
def api_dsn(database: Database) -> Iterator[str]:
    """The service's own login, made as the composition does, twice."""
    settings = {**ONLY_HERE, "DATABASE_URL": database.dsn}
    try:
        for password in ("first", SECOND_PASSWORD):
            ended = run([], {**settings, "API_PASSWORD": password}, LOGIN.read_text())
            assert (ended.returncode, ended.stderr) == (0, "")
        yield make_conninfo(database.dsn, user=login.LOGIN, password=SECOND_PASSWORD)
    finally:
        with psycopg.connect(database.dsn) as owner:
            owner.execute(f"DROP ROLE IF EXISTS {login.LOGIN}".encode())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments",
        "UPDATE payments SET amount_cents = 1",
        "UPDATE payment_events SET event_number = 1",
        "ALTER TABLE payments DROP COLUMN state",
        "CREATE TABLE mine ()",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "DROP TABLE payments",
        "TRUNCATE payments",
        "COPY payments TO PROGRAM 'true'",
    ],
)
@pytest.mark.parametrize("first", ["RESET ROLE", "SET ROLE payments_app"])
def test_whoever_has_the_login_is_no_owner(api_dsn: str, first: str, statement: str) -> None:
    with psycopg.connect(api_dsn, autocommit=True) as connection:
        connection.execute(first.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_the_service_works_with_it_and_cannot_migrate(api_dsn: str, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_URL=api_dsn) as server:
        made = httpx.post(f"{server.url}/payments", json={"amount_cents": 500}, timeout=30, **DIRECT)
        assert made.status_code == 201
        assert httpx.get(f"{server.url}{made.headers['location']}", timeout=30, **DIRECT).status_code == 200
    assert invoke(["migrate"], {"DATABASE_URL": api_dsn}).exit_code == 2


@pytest.mark.usefixtures("api_dsn")
def test_the_server_is_told_a_hash(database: Database) -> None:
    with psycopg.connect(database.dsn) as owner:
        row = owner.execute(
            "SELECT rolpassword, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication"
            " FROM pg_authid WHERE rolname = %s",
            [login.LOGIN],
        ).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert row[1:] == (False,) * 5
