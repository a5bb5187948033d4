"""Processes serve on beside a later version's migration, and one that does not is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_core.infrastructure.postgres import statements
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.whole import later_version
from payments_verify.systems.whole.later_version import wrong_beside_later
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

pytestmark = pytest.mark.invariant("I9")

LAST = """
SELECT migration_id FROM _yoyo_migration ORDER BY migration_id DESC
LIMIT (SELECT count(*) FROM _yoyo_migration WHERE migration_id < '9')
"""
"""The last migrations, as many as this version has."""


@pytest.fixture
def new() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as dsn, new_database(dsn) as made:
        yield made


def test_one_that_is_ready_with_its_own_migrations_alone_is_found(
    new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "APPLIED_MIGRATIONS", LAST)
    monkeypatch.setattr(later_version, "LIMIT_S", 1.0)
    told = run(wrong_beside_later(new))
    assert told == "I9: a later version's migration has been applied, and /readyz answers 503"
