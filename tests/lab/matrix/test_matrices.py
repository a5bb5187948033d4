"""A row without a verdict leaves the others theirs, and is no failure of what was tried."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from lab.matrix.databases import Place, row_of
from lab.matrix.pythons import judged
from lab.steps import UnableError, ViolationError
from payments_verify.systems import EmbeddedPostgresError, ServerError


@pytest.mark.parametrize("error", [EmbeddedPostgresError, ServerError, UnableError, OSError])
def test_a_database_that_cannot_be_had_is_arow_of_without_a_verdict(error: type[Exception]) -> None:
    def broken() -> AbstractContextManager[Place]:
        raise error("it does\nnot start")

    line, verdict = row_of("PostgreSQL", broken)
    assert verdict == "no verdict"
    assert line.startswith("| PostgreSQL | not tried: it does not start |")


@pytest.mark.parametrize(
    ("code", "printed", "told"),
    [
        (0, "=== 7 passed in 1.5s ===", None),
        (1, "1 failed, 6 passed in 1.5s", ViolationError),
        (2, "=== 1 error in 0.7s ===", ViolationError),
        (1, "ERROR: No matching distribution found", UnableError),
        (3, "INTERNALERROR> oops", UnableError),
        (4, "usage: pytest", UnableError),
        (5, "no tests ran in 0.01s", UnableError),
    ],
)
def test_only_tests_that_fail_are_a_violation(code: int, printed: str, told: type[Exception] | None) -> None:
    if told is None:
        assert judged(code, printed) == "7 passed in 1.5s"
        return
    with pytest.raises(told):
        judged(code, printed)
