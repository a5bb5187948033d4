"""A whole process of the service whose sessions are not what they have to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments_core.infrastructure.postgres import replication, statements, store
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.whole_checks import whole_checks
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

UNREPLICATED = "what no standby has"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.parametrize("check", [UNREPLICATED])
def test_the_service_as_it_is_survives(dsn: str, check: str) -> None:
    assert run(whole_checks(dsn)[check]()) is None


@pytest.mark.invariant("I7")
@pytest.mark.parametrize("bug", ["no warning is heard", "a refusal rolls back", "a creation is only read"])
def test_what_no_standby_has_and_is_answered_is_found(
    dsn: str, bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    match bug:
        case "no warning is heard":
            monkeypatch.setattr(replication.Replicated, "__exit__", lambda *_: None)
            expected = "I7: a creation is answered 201"
        case "a refusal rolls back":
            execute = store._execute  # noqa: SLF001
            monkeypatch.setattr(
                store,
                "_execute",
                lambda connection, query, *more: execute(
                    connection, statements.ROLLBACK if query == statements.COMMIT else query, *more
                ),
            )
            expected = "I7: an authorization that the state refuses is answered 409"
        case _:
            monkeypatch.setattr(statements, "FIND_CREATED", statements.GET_PAYMENT)
            expected = "I7: a creation that is repeated is answered 200"
    assert str(run(whole_checks(dsn)[UNREPLICATED]())).startswith(expected)
