"""What nobody may print is found in the lines of each level, whatever was answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from psycopg.errors import DiskFull
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from payments_core.entrypoints.http import app, problems
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


@pytest.mark.invariant("I11")
@pytest.mark.parametrize("handler", ["_failed", "_unavailable"])
def test_errors_that_are_told_to_clients_are_found(
    dsn: str, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told_all(_request: Request, error: Exception) -> Response:
        problem = problems.INTERNAL_ERROR if handler == "_failed" else problems.UNAVAILABLE
        fields = problems.RETRY_AFTER if problem.status == 503 else {}
        return problems.response(problem, f"it failed: {error}", fields)

    changed = {each: told_all for each, by in app._HANDLERS.items() if by.__name__ == handler}  # noqa: SLF001
    monkeypatch.setattr(app, "_HANDLERS", {**app._HANDLERS, **changed})  # noqa: SLF001
    with new_database(dsn) as new:
        told = str(run(wrong_logs(new)))
    assert " is told the text of an error" in told
    assert told.startswith("I11: ")


@pytest.mark.invariant("I9")
def test_an_error_that_is_told_as_another_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = {**app._HANDLERS, DiskFull: app._failed}  # noqa: SLF001
    monkeypatch.setattr(app, "_HANDLERS", handlers)
    with new_database(dsn) as new:
        told = str(run(wrong_logs(new)))
    assert "which the database refuses with 53100: expected (503, 'unavailable'), got (500, " in told
