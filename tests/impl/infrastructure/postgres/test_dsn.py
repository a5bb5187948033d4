"""A connection string holds a password, and nothing that the service prints or logs has it."""

from __future__ import annotations

import pytest

from payments_core.entrypoints.settings import Settings
from payments_core.infrastructure.postgres.dsn import DsnError, require_dsn
from tests.support.dsn import CONFUSED, MARKER, UNDERSTOOD
from tests.support.processes import invoke, run

LOUD = {"PAYMENTS_LOG_LEVEL": "debug"}
FACTORY = "from payments_core.entrypoints.wiring import app_from_environment; app_from_environment()"
UVICORN = "import uvicorn; uvicorn.run('payments_core.entrypoints.wiring:app_from_environment', factory=True)"


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["migrate"], ["sweep"]], ids=" ".join)
@pytest.mark.parametrize("dsn", [*CONFUSED, *UNDERSTOOD])
def test_no_command_prints_a_password(arguments: list[str], dsn: str) -> None:
    ended = invoke(arguments, {"DATABASE_URL": dsn, **LOUD})
    assert ended.exit_code == 2
    assert ended.stderr.startswith("payments-core: ")
    assert "Traceback" not in ended.stderr
    assert MARKER not in ended.output


@pytest.mark.parametrize("program", [FACTORY, UVICORN], ids=["the factory", "another server"])
@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": CONFUSED[0]},
        {"DATABASE_URL": CONFUSED[-1]},
        {"DATABASE_URL": UNDERSTOOD[0], "PAYMENTS_LOCK_TIMEOUT_MS": "99000"},
        {"DATABASE_URL": UNDERSTOOD[0], "PAYMENTS_PORT": "none"},
    ],
    ids=lambda variables: " ".join(variables) if isinstance(variables, dict) else None,
)
def test_no_traceback_has_a_password(program: str, variables: dict[str, str]) -> None:
    ended = run([], {**LOUD, **variables}, program)
    assert ended.returncode != 0
    assert "Error" in ended.stderr
    assert MARKER not in ended.stdout + ended.stderr


@pytest.mark.parametrize("dsn", [*CONFUSED, "", " "])
def test_what_is_not_read_as_it_was_meant_is_refused(dsn: str) -> None:
    with pytest.raises(DsnError) as refused:
        require_dsn(dsn)
    error = refused.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert MARKER not in str(refused.value)


@pytest.mark.parametrize(
    "dsn",
    [
        *UNDERSTOOD,
        "postgresql:///payments",
        "postgresql://u%40corp:a%2Fb%40c@[::1]:5432/payments?options=-c%20role%3Dx",
        "postgresql://one:5432,two:5433/payments?target_session_attrs=read-write",
        "postgresql:///payments?host=/var/run/postgresql&user=me@corp",
        "host=/tmp dbname=payments",
        "service=payments",
    ],
)
def test_what_is_read_as_it_was_meant_is_accepted(dsn: str) -> None:
    require_dsn(dsn)


def test_settings_that_are_printed_have_none() -> None:
    assert MARKER not in repr(Settings(database_url=UNDERSTOOD[0]))
