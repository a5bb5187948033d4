"""``payments-core migrate`` and ``payments-core sweep``."""

from __future__ import annotations

import psycopg
import pytest

from payments_core.domain.payment import FailureReason, PaymentState
from payments_core.entrypoints.called import command_line
from payments_core.infrastructure.postgres.migrate import known
from tests.support.postgres import Database
from tests.support.processes import invoke, run
from tests.support.rows import AUTHORIZED, insert, payment, update
from tests.support.stores import stored

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


def test_migrating_twice(empty_database: Database) -> None:
    settings = {"DATABASE_URL": empty_database.dsn}
    first, second = run(["migrate"], settings), run(["migrate"], settings)
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.splitlines() == [f"applied {each}" for each in known()]
    assert second.stdout == "nothing to apply\n"
    assert (first.stderr, second.stderr) == ("", "")


def test_sweeping_expires_what_is_due_and_says_how_many(database: Database) -> None:
    due, later, pending = ([payment() for _ in range(count)] for count in (5, 2, 1))
    with psycopg.connect(database.dsn) as owner:
        for row in (*due, *later, *pending):
            insert(owner, "payments", row)
        for rows, end in ((due, "now"), (later, "infinity")):
            for row in rows:
                window = {"state": "authorized", "authorized_at": AUTHORIZED, "capture_expires_at": end}
                update(owner, row["payment_id"], window)
    settings = {"DATABASE_URL": database.app_dsn}
    assert run(["sweep", "--batch", "2"], settings).stdout == "expired 5 payments\n"
    assert run(["sweep"], settings).stdout == "expired 0 payments\n"
    with psycopg.connect(database.dsn) as owner:
        found = owner.execute("SELECT payment_id, state, failure_reason FROM payments").fetchall()
    assert {row[0]: row[1:] for row in found} == {
        **{row["payment_id"]: ("failed", "expired") for row in due},
        **{row["payment_id"]: ("authorized", None) for row in later},
        **{row["payment_id"]: ("pending", None) for row in pending},
    }


def test_sweeping_one(database: Database) -> None:
    row = payment()
    with psycopg.connect(database.dsn) as owner:
        insert(owner, "payments", row)
        window = {"state": "authorized", "authorized_at": AUTHORIZED, "capture_expires_at": "now"}
        update(owner, row["payment_id"], window)
    assert run(["sweep"], {"DATABASE_URL": database.app_dsn}).stdout == "expired 1 payment\n"
    (kept,) = stored(database.dsn).payments.values()
    assert (kept.state, kept.failure_reason) == (PaymentState.FAILED, FailureReason.EXPIRED)


def test_a_server_without_citus_is_not_distributed(empty_database: Database) -> None:
    """It is not installed there, or not loaded; the schema is migrated."""
    ended = run(["migrate", "--distribute", "citus"], {"DATABASE_URL": empty_database.dsn})
    assert ended.returncode == 2
    assert "extension citus: install it" in ended.stderr or "into shared_preload_libraries" in ended.stderr


@pytest.mark.parametrize("command", ["migrate", "sweep"])
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "set DATABASE_URL"),
        ({"DATABASE_URL": UNREACHABLE}, "Connection refused"),
        ({"DATABASE_URL": "nonsense"}, "no connection string"),
        ({"PAYMENTS_POOL_MIN": "-1"}, "PAYMENTS_POOL_MIN"),
    ],
    ids=["none", "unreachable", "malformed", "bad settings"],
)
def test_what_they_refuse(command: str, variables: dict[str, str], says: str) -> None:
    ended = invoke([command], variables)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("payments-core: ")
    assert says in ended.stderr
    assert ended.stdout == ""


def test_sweeping_a_database_without_the_schema(empty_database: Database) -> None:
    ended = run(["sweep"], {"DATABASE_URL": empty_database.dsn})
    assert ended.returncode == 2
    assert f"run: {command_line('migrate')}" in ended.stderr


def test_a_sweep_takes_as_long_as_it_takes(database: Database) -> None:
    """A look at all payments that is longer than a request's statements may be."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "CREATE OR REPLACE FUNCTION payment_clock() RETURNS timestamptz LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.4); RETURN clock_timestamp(); END'"
        )
        # The clock is looked at where there is a payment that may be due.
        owner.execute(
            "INSERT INTO payments (payment_id, amount_cents, created_at)"
            " VALUES (gen_random_uuid(), 500, now() - interval '1 hour')"
        )
        owner.execute(
            "UPDATE payments SET state = 'authorized', authorized_at = now() - interval '1 hour',"
            " capture_expires_at = now() - interval '1 minute'"
        )
    limits = {"PAYMENTS_STATEMENT_TIMEOUT_MS": "100", "PAYMENTS_TRANSACTION_TIMEOUT_MS": "100"}
    ended = run(["sweep"], {"DATABASE_URL": database.dsn, **limits})
    assert (ended.returncode, ended.stdout) == (0, "expired 1 payment\n"), ended.stderr


def test_help_names_the_commands() -> None:
    ended = run(["--help"])
    assert ended.returncode == 0
    for command in ("serve", "migrate", "sweep"):
        assert command in ended.stdout
