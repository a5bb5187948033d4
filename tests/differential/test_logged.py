"""What nobody may print is found in the lines of each level, whatever was answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from starlette.types import Scope

from payments_core.entrypoints.http.observed import Observed
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.whole.logged import wrong_logs
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.invariant("I11")
@pytest.mark.parametrize(
    "status", ["", "200", "201", "204", "400", "403", "404", "409", "413", "415", "422", "503"]
)
def test_fields_that_are_logged_to_who_debugs_are_found(
    dsn: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(self: Observed, scope: Scope, answered: str, seconds: float) -> None:
        if answered == status:
            fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            structlog.get_logger().debug("answered", fields=fields)
        _ended(self, scope, answered, seconds)

    monkeypatch.setattr(Observed, "_ended", ended)
    with new_database(dsn) as new:
        told = str(run(wrong_logs(new)))
    assert "I11: a process has printed the " in told if status else told == "None"


_ended = vars(Observed)["_ended"]
