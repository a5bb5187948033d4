"""The settings of a session that the page names are the service's, wherever something else is set."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict

from lab.static_checks.session_levels import PAGE, check_levels, named
from payments_core.infrastructure.postgres import session
from payments_core.infrastructure.postgres.options import named as options_named
from payments_verify.systems.database import migrated_database
from tests.support.postgres import chosen_bin_dir

TEXT = PAGE.read_text(encoding="utf-8")
LEVELS = ("database", "login", "server", "connection")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with migrated_database(chosen_bin_dir()) as migrated:
        yield migrated


def problems(dsn: str) -> list[str]:
    return list(asyncio.run(check_levels(dsn, TEXT)).problems)


def test_what_the_service_sets_is_what_the_page_names(dsn: str) -> None:
    said = named(TEXT)
    made = session.Session("role", 1, 1, 1, 1).settings(200_000)
    assert {"client_encoding", *session.needs(200_000)} <= {*said.fixed}
    assert {*made} == {*said.overridden}
    assert problems(dsn) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "client_min_messages",
            "I7: the service's sessions have client_min_messages = error, and not notice",
        ),
        ("exit_on_error", "I9: the service's sessions have exit_on_error = on, and not off"),
        ("search_path", "I8: the service's sessions have search_path = elsewhere, and not"),
    ],
)
def test_a_setting_that_is_left_to_others_is_found_at_each_level(
    dsn: str, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(session._NEEDS, name)  # noqa: SLF001
    found = problems(dsn)
    assert [each.rpartition(", where the ")[2].split()[0] for each in found] == [*LEVELS]
    assert all(each.startswith(problem) for each in found)


def test_a_limit_that_options_do_not_override_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "named", lambda _: frozenset())
    found = problems(dsn)
    assert (
        "I9: the service's sessions have jit = off, and not on, where the connection has -c jit=on" in found
    )
    assert all("where the connection has" in each for each in found)


class _Searched:
    """What options name, for who only searches them."""

    def __init__(self, options: str, pattern: str) -> None:
        self._options, self._pattern = options, pattern

    def __contains__(self, name: str) -> bool:
        pattern = self._pattern.format(name, name.replace("_", "[-_]"))
        return re.search(pattern, self._options, re.IGNORECASE) is not None


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("pattern", "found_in"),
    [
        ("{1}=", "-c deadlock_timeout="),
        (r"(?:-c\s*|--)({1}|my.{0})", "--my.lock_timeout="),
        (r"-c\s*{1}=", "--lock_timeout="),
        (r"(?:-c\s*|--){0}=", "--lock-timeout="),
    ],
)
def test_options_that_are_only_searched_are_found(
    dsn: str, pattern: str, found_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "named", lambda options: _Searched(options, pattern))
    told = [each for each in problems(dsn) if "sessions have lock_timeout = " in each]
    assert found_in in told[0].partition(", where the connection has ")[2]


@pytest.mark.invariant("I9")
def test_options_of_the_environment_that_are_passed_over_are_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        session,
        "named",
        lambda options: frozenset() if options == os.environ.get("PGOPTIONS") else options_named(options),
    )
    found = problems(dsn)
    assert (
        "I9: the service's sessions have jit = off, and not on, where the connection has -c jit=on" in found
    )


def test_a_variable_of_libpq_that_is_overridden_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_given", lambda dsn: set(conninfo_to_dict(dsn)))
    found = problems(dsn)
    [wrong] = found
    assert wrong.startswith("I9: the service's sessions have application_name = payments-core, and not till")


def test_a_page_that_says_nothing_of_sessions_is_no_page() -> None:
    with pytest.raises(ValueError, match="does not say what a session is"):
        named("### What else\n")
