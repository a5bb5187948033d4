"""What a whole process logs is looked through: who logs too much, or not each request, is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from payments_core.entrypoints import logs
from payments_core.entrypoints.http import observed
from payments_core.entrypoints.http.observed import Observed
from payments_core.infrastructure.postgres.pool import Pool
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.whole.checks import whole_checks
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

_tell: Any = vars(Observed)["_tell"]
_ended: Any = vars(Observed)["_ended"]
_make_pool: Any = vars(Pool)["__init__"]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


def found(dsn: str) -> str | None:
    told: str | None = run(whole_checks(dsn)["what is logged"]())
    return told


def with_path(self: Observed, scope: Any, route: str, *rest: Any) -> None:
    _tell(self, scope, scope["path"] if route == "unmatched" else route, *rest)


def with_query(self: Observed, scope: Any, *rest: Any) -> None:
    structlog.get_logger().debug("query", text=str(scope["query_string"]))
    _tell(self, scope, *rest)


def with_fields(self: Observed, scope: Any, *rest: Any) -> None:
    structlog.get_logger().debug("fields", text=str(scope["headers"]))
    _tell(self, scope, *rest)


def of_success_alone(self: Observed, scope: Any, route: str, status: str, *rest: Any) -> None:
    if status < "500":
        _tell(self, scope, route, status, *rest)


def with_an_agent(self: Observed, *ended: Any) -> None:
    self._log = structlog.get_logger().bind(agent="x")
    _tell(self, *ended)


def twice(self: Observed, *ended: Any) -> None:
    _tell(self, *ended)
    _tell(self, *ended)


def as_another(self: Observed, scope: Any, status: str, seconds: float) -> None:
    _ended(self, scope, "200" if status == "503" else status, seconds)


def with_its_address(self: Pool, conninfo: str, **rest: Any) -> None:
    structlog.get_logger().debug("pool", of=conninfo)
    _make_pool(self, conninfo, **rest)


@pytest.mark.parametrize(
    ("owner", "name", "value", "begins"),
    [
        (logs, "_message", str, "I3, I11: a process has printed the key, the payment: "),
        (Observed, "_tell", with_path, "I11: a process has printed the path"),
        (Observed, "_tell", with_query, "I11: a process has printed the path"),
        (Observed, "_tell", with_fields, "I3, I11: a process has printed the fields, the key, the own_token"),
        (Pool, "__init__", with_its_address, "I11: a process has printed the password: "),
        (Observed, "_tell", of_success_alone, "I12: of PUT /payments/{payment_id} is logged {}"),
        (Observed, "_tell", with_an_agent, "I12: of PUT /payments/{payment_id} is logged {'agent'"),
        (Observed, "_tell", twice, "I12: two requests are logged under one id"),
        (Observed, "_ended", as_another, "I12: of PUT /payments/{payment_id} is logged {"),
        (observed, "_request_id", lambda _: "1", "I12: two requests are logged under one id"),
    ],
)
def test_what_is_logged_otherwise_is_found(
    dsn: str, owner: Any, name: str, value: Callable[..., Any], begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, value)
    assert (found(dsn) or "").startswith(begins)
