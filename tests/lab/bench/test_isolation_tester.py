"""The isolation tester: what it is given, how its answer is read, and that it does what the gate does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.bench.isolation_tester import IsolationTesterError, find_isolation_tester, read, run, spec
from pgweave.embedded import EmbeddedPostgres
from pgweave.embedded.binaries import find_binaries

_OUTPUT = """\
Parsed test spec with 2 sessions

starting permutation: s1_lock s2_lock s1_commit s2_commit
step s1_lock: SELECT
    FOR UPDATE;
step s2_lock: SELECT
    FOR UPDATE; <waiting ...>
step s1_commit: COMMIT;
step s2_lock: <... completed>
step s2_commit: COMMIT;

starting permutation: s1_lock s1_commit s2_lock s2_commit
step s1_lock: SELECT
    FOR UPDATE;
step s1_commit: COMMIT;
step s2_lock: SELECT
    FOR UPDATE;
step s2_commit: COMMIT;
"""
_ADVISORY = (("BEGIN", "SELECT pg_advisory_xact_lock(1)", "COMMIT"),) * 2
_STEPS = ("begin", "lock", "commit")


@pytest.fixture(scope="module")
def tester() -> Path:
    """The embedded PostgreSQL has one."""
    found = find_isolation_tester(find_binaries())
    assert found is not None
    return found


def test_a_schedule_becomes_a_permutation_of_named_steps() -> None:
    text = spec("SELECT 1;", _ADVISORY, _STEPS, [(0, 1, 0, 0, 1, 1)])
    assert text.endswith("\npermutation s1_begin s2_begin s1_lock s1_commit s2_lock s2_commit\n")
    assert "session s2\nstep s2_begin { BEGIN; }" in text


def test_a_schedule_that_leaves_a_step_out_is_refused() -> None:
    with pytest.raises(ValueError, match="not each step"):
        spec("", _ADVISORY, _STEPS, [(0, 1, 0, 0, 1)])


def test_permutations_and_waits_are_counted() -> None:
    assert read(_OUTPUT) == (2, 1)


def test_a_waiting_step_is_seen_in_the_order_in_which_it_waits_alone(
    tester: Path, postgres_server: EmbeddedPostgres
) -> None:
    dsn = postgres_server.create_database("isolation")
    orders = [(0, 0, 0, 1, 1, 1), (0, 0, 1, 1, 0, 1)]
    tested = run(tester, dsn, spec("SELECT 1;", _ADVISORY, _STEPS, orders))
    assert (tested.permutations, tested.waits) == (2, 1)
    assert tested.seconds > 0


def test_a_statement_that_fails_is_not_timed(tester: Path, postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database("isolation_failing")
    failing = (("BEGIN", "SELECT 1 / 0", "COMMIT"),)
    with pytest.raises(IsolationTesterError, match="division by zero"):
        run(tester, dsn, spec("SELECT 1;", failing, _STEPS, [(0, 0, 0)]))


def test_a_setup_that_fails_is_not_timed(tester: Path, postgres_server: EmbeddedPostgres) -> None:
    dsn = postgres_server.create_database("isolation_setup")
    with pytest.raises(IsolationTesterError, match="nowhere"):
        run(tester, dsn, spec("SELECT FROM nowhere;", _ADVISORY, _STEPS, [(0, 0, 0, 1, 1, 1)]))


def test_a_postgresql_without_one_has_none(tmp_path: Path) -> None:
    assert find_isolation_tester(tmp_path / "bin") is None
