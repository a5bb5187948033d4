"""What is stored already, long lists and rows of other versions: a service that makes less of it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from payments_core.domain.capture import Answer, CaptureAttempt
from payments_core.infrastructure.postgres import statements, store
from payments_core.infrastructure.postgres.rows import attempt_of
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole.kept_answers import wrong_with_kept_rows
from tests.support.exploring import run

WITHOUT_EVENTS = "SELECT payment_id FROM capture_attempts EXCEPT SELECT payment_id FROM payment_events"


@pytest.fixture
def new(dsn: str) -> Iterator[str]:
    with new_database(dsn) as made, nothing_logged():
        yield made


@pytest.mark.invariant("I8")
@pytest.mark.parametrize(
    ("statement", "find", "replaced", "told"),
    [
        ("LIST_ATTEMPTS", "LIMIT %s", "LIMIT least(%s, 200::bigint)", "a list of 201: GET /payments/"),
        ("FIRST_PAGE", "LIMIT %s", "LIMIT least(%s, 200::bigint)", "a list of 201: GET /payments?limit=200"),
        (
            "NEXT_PAGE",
            "(%s, %s)",
            "(%s, %s) AND created_at <= (SELECT payment_clock())",
            "a list of 200: GET /payments?after=",
        ),
        (
            "NEXT_PAGE",
            "WHERE (created_at",
            "WHERE payment_id NOT IN (TABLE without_events) AND (created_at",
            "a list of what other versions have stored, too: GET /payments?limit=200&after=",
        ),
        (
            "LIST_ATTEMPTS",
            "ORDER BY event.event_number",
            "ORDER BY attempt.decided_at",
            "a list of 200: GET /payments/",
        ),
        ("LIST_ATTEMPTS", "event_number > %s", "event_number > %s AND event_number < 1000", "a list of 1001"),
    ],
)
def test_a_list_that_lacks_what_is_stored_is_found(
    new: str, monkeypatch: pytest.MonkeyPatch, statement: str, find: str, replaced: str, told: str
) -> None:
    _replace(monkeypatch, statement, find, replaced)
    found = str(run(wrong_with_kept_rows(new)))
    assert found.startswith(f"I8: {told}"), found


@pytest.mark.invariant("I3")
@pytest.mark.parametrize(
    "written",
    [
        lambda attempt: Answer(attempt.answer.status, msgspec.json.encode({"outcome": attempt.outcome})),
        lambda attempt: Answer(attempt.answer.status, attempt.answer.body.strip()),
        lambda attempt: Answer(201 if attempt.outcome == "captured" else 409, attempt.answer.body),
    ],
)
def test_an_answer_that_is_written_anew_is_found(
    new: str, monkeypatch: pytest.MonkeyPatch, written: Callable[[CaptureAttempt], Answer]
) -> None:
    def read(row: Any) -> CaptureAttempt:
        attempt = attempt_of(row)
        return replace(attempt, answer=written(attempt))

    monkeypatch.setattr(store, "attempt_of", read)
    told = str(run(wrong_with_kept_rows(new)))
    assert told.startswith("I3")
    assert "other versions have stored a payment that is " in told


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("statement", "find", "replaced", "told"),
    [
        ("MOVE_PAYMENT", "coalesce(max(event_number), 0)", "max(event_number)", "I9: "),
        (
            "FIND_ATTEMPT",
            "WHERE payment_id = %s)",
            "WHERE payment_id = %s HAVING count(*) > 0)",
            "I3: ",
        ),
        (
            "LOCK_DUE",
            "WHERE payment_id = %s",
            "WHERE payment_id IN (SELECT payment_id FROM payment_events) AND payment_id = %s",
            "I5, I9: other versions have stored 3 payments that are due, and 1 do not expire",
        ),
    ],
)
def test_a_payment_without_events_that_is_not_decided_is_found(
    new: str, monkeypatch: pytest.MonkeyPatch, statement: str, find: str, replaced: str, told: str
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.kept_answers._LIMIT_S", 1.0)
    _replace(monkeypatch, statement, find, replaced)
    found = str(run(wrong_with_kept_rows(new)))
    assert found.startswith(told), found


def _replace(monkeypatch: pytest.MonkeyPatch, statement: str, find: str, replaced: str) -> None:
    text = getattr(statements, statement)
    assert text.count(find) == 1
    replaced = replaced.replace("TABLE without_events", WITHOUT_EVENTS)
    monkeypatch.setattr(statements, statement, text.replace(find, replaced))
