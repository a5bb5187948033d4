"""Everything that a whole process is made to go through, on the service as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.whole.checks import whole_checks
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.parametrize("check", whole_checks("no database"))
def test_the_service_as_it_is_survives(dsn: str, check: str) -> None:
    assert run(whole_checks(dsn)[check]()) is None
