"""The rules for statements: the service's keep them, and each is broken by some statement."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.static_checks.sources import check_sources, check_waits
from lab.static_checks.statements import check_statements
from payments_core.infrastructure.postgres import statements as sql

LOCK = {"LOCK": "SELECT state FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT payment_clock()",
        "SELECT state FROM payments WHERE payment_id = %s FOR UPDATE",
        f"{LOCK['LOCK']} NOWAIT",
        "SELECT state FROM payments WHERE state = 'x' FOR UPDATE SKIP LOCKED",
        "SELECT state FROM payments WHERE state = 'x' ORDER BY payment_id FOR UPDATE",
        "SELECT state, payment_clock() FROM payments WHERE payment_id = %s",
        "SELECT state FROM payments WHERE capture_expires_at < payment_clock() FOR UPDATE SKIP LOCKED",
        "INSERT INTO capture_attempts (payment_id) VALUES (%s)",
        "INSERT INTO payments (payment_id) VALUES (%s) ON CONFLICT (payment_id) DO NOTHING",
        "BEGIN",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        sql.FIND_DUE,
        sql.LOAD_GUARDS,
        sql.LOCK_DUE,
        sql.LIST_ATTEMPTS,
    ],
)
def test_what_is_allowed(statement: str) -> None:
    assert check_statements({**LOCK, "OTHER": statement}).problems == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("SELECT now()", "I5: a clock that is not"),
        ("SELECT CURRENT_TIMESTAMP", "I5: a clock that is not"),
        ("SELECT clock_timestamp()", "I5: a clock that is not"),
        ("SELECT state FROM payments WHERE capture_expires_at > statement_timestamp()", "I5: a clock"),
        ("SELECT state, payment_clock() FROM payments WHERE payment_id = %s FOR UPDATE", "returns the clock"),
        (
            "SELECT 1 FROM payments JOIN capture_attempts USING (payment_id) FOR UPDATE",
            "I3: the statement that",
        ),
        (
            "SELECT state FROM payments WHERE payment_id = %s FOR SHARE",
            "I9: rows that are going to be written",
        ),
        ("SELECT amount_cents FROM payments WHERE payment_id = %s FOR UPDATE NOWAIT", "I9: NOWAIT"),
        (
            "SELECT state FROM payments WHERE state = 'x' FOR UPDATE",
            "I9: several rows are locked in no order",
        ),
        ("UPDATE capture_attempts SET body = %s WHERE payment_id = %s", "I3: a stored attempt is rewritten"),
        ("DELETE FROM capture_attempts WHERE payment_id = %s", "I3: a stored attempt is rewritten"),
        (
            "INSERT INTO capture_attempts VALUES (%s) ON CONFLICT (payment_id) DO UPDATE SET body = ''",
            "I3: a stored attempt is rewritten",
        ),
        ("SELECT body FROM capture_attempts WHERE idempotency_key = %s", "I3: attempts are looked up"),
        ("SELECT body FROM capture_attempts WHERE payment_id = %s OR true", "I3: attempts are looked up"),
        ("UPDATE payments SET state = 'failed'", "I2: payments are written without naming one"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "I9: transactions are at REPEATABLE READ"),
        ("SELECT (", "I10: a statement is not understood"),
    ],
)
def test_what_breaks_a_rule(statement: str, says: str) -> None:
    problems = check_statements({**LOCK, "OTHER": statement}).problems
    assert any(problem.startswith(says) or says in problem for problem in problems), problems
    assert all(problem.endswith(("OTHER", "understand it")) for problem in problems)


def test_somebody_has_to_lock_the_payment() -> None:
    assert check_statements({"READ": "SELECT 1"}).problems == [
        "I1: no statement locks a payment's row for update"
    ]
    shared = "SELECT 1 FROM payments WHERE payment_id = %s FOR SHARE"
    assert len(check_statements({"LOCK": shared}).problems) == 2
    assert len(check_statements({"LOCK": shared.replace("SHARE", "KEY SHARE")}).problems) == 1


def test_a_row_that_only_has_to_stay_may_be_read_with_the_clock() -> None:
    kept = "SELECT state, payment_clock() FROM payments WHERE payment_id = %s FOR KEY SHARE"
    assert check_statements({**LOCK, "OTHER": kept}).problems == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import time\nstarted = time.perf_counter()\n", None),
        ("import time\nnow = time.time()\n", "a.py, line 2: time.time()"),
        ("import time as t\nfrom time import time_ns\n\nnow = time_ns()\n", "line 4: time_ns()"),
        ("import datetime\nnow = datetime.datetime.now()\n", "line 2: datetime.now()"),
        ("from datetime import datetime, UTC\nnow = datetime.now(UTC)\n", "line 2: datetime.now()"),
        ("class Clock:\n    def now(self): ...\n\nnow = Clock().now()\n", None),
    ],
)
def test_the_hosts_clock_in_sources(source: str, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(source)
    found = check_sources([tmp_path / "a.py"])
    assert found.looked_at == 1
    assert (found.problems == []) if says is None else (says in found.problems[0])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import time\ntime.sleep(1)\n", "a.py, line 2: time.sleep()"),
        ("import time as t\nt.sleep(1)\n", "line 2: t.sleep()"),
        ("from time import sleep as wait\nasync def f():\n    def g():\n        wait(1)\n", "line 4: wait()"),
        ("import subprocess\nsubprocess.run(['ls'])\n", "line 2: subprocess.run()"),
        ("import psycopg\nwith psycopg.connect('') as one: ...\n", "line 2: psycopg.connect()"),
        ("from psycopg import connect\nconnect('')\n", "line 2: connect()"),
        ("import urllib.request\nurllib.request.urlopen('')\n", "line 2: request.urlopen()"),
        ("from urllib.request import urlopen\nurlopen('')\n", "line 2: urlopen()"),
        ("from psycopg_pool import ConnectionPool\npool = ConnectionPool('')\n", "line 2: ConnectionPool()"),
        ("import hashlib\nhashlib.scrypt(b'', n=2)\n", "line 2: hashlib.scrypt()"),
        ("import asyncio\nasync def f(): await asyncio.sleep(1)\n", None),
        ("async def f(): return await Connection.connect('')\n", None),
        ("import asyncio, time\nasync def f(): await asyncio.to_thread(time.sleep, 1)\n", None),
    ],
)
def test_calls_that_stop_the_process(source: str, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(source)
    problems = check_waits([tmp_path / "a.py"]).problems
    assert list(problems) == [] if says is None else says in problems[0]


def test_a_command_may_wait(tmp_path: Path) -> None:
    file = tmp_path / "migrate.py"
    file.write_text("import psycopg\ndef turn(): psycopg.connect('')\ndef other(): psycopg.connect('')\n")
    (problem,) = check_waits([file]).problems
    assert problem == "I9: all requests wait for one call: migrate.py, line 3: psycopg.connect()"


def test_only_an_empty_block_is_passed_over() -> None:
    (problem,) = check_statements({**LOCK, "BLOCK": "DO 'BEGIN PERFORM 1; END'"}).problems
    assert problem.startswith("I10: a statement is not understood: BLOCK")
