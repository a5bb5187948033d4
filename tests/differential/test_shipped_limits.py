"""Limits in time that are shipped: those that are longer than promised are found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_core.entrypoints import wiring
from payments_core.infrastructure.postgres import connection, hosts, readiness, session
from payments_verify.systems.database import migrated_database
from payments_verify.systems.whole.shipped_limits import shortened, wrong_shipped_limits
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

pytestmark = pytest.mark.invariant("I9")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with migrated_database(chosen_bin_dir()) as migrated:
        yield migrated


def test_the_service_as_it_is(dsn: str) -> None:
    assert run(wrong_shipped_limits(dsn)) is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (readiness, "FRESH_S"),
        (readiness, "PATIENCE_S"),
        (wiring, "_RECONNECT_S"),
        (wiring, "_PREPARE_S"),
        (connection, "_PATIENCE_S"),
        (hosts, "HEAD_START_S"),
    ],
)
def test_a_limit_that_is_longer_is_found(
    dsn: str, module: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, 60.0)
    assert f"{name} is 60 s, and " in str(run(wrong_shipped_limits(dsn)))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"keepalives": 0}, "is not noticed within 7 s"),
        ({"keepalives_count": 30}, "is not noticed within 7 s"),
        ({"tcp_user_timeout": 0}, "is not noticed within 7 s"),
        ({"connect_timeout": 130}, "is not given up within 5 s"),
    ],
)
def test_connections_that_are_kept_for_longer_are_found(
    dsn: str, changed: dict[str, int], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_LIVELINESS", session._LIVELINESS | changed)  # noqa: SLF001
    assert told in str(run(wrong_shipped_limits(dsn)))


def test_parameters_of_the_connection_string_that_are_overridden_are_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_given", lambda _: set())
    assert "DATABASE_URL has other keepalives_idle, " in str(run(wrong_shipped_limits(dsn)))


def test_only_limits_that_are_looked_at_are_shortened() -> None:
    with pytest.raises(AssertionError):
        shortened("entrypoints.sweeper._AFTER_A_FAILURE_S", 0.1)
