"""Settings are given one by one; a service that takes what it has to refuse, or refuses others, is told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lab.static_checks.environment import REFUSED, TAKEN, check_environment
from lab.static_checks.shipped import refusal


def test_the_service_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_POOL_MAX", "0")  # the environment of whoever looks is none of its own
    found = check_environment(refusal)
    assert found.problems == []
    assert found.looked_at == len(REFUSED) + len(TAKEN)


@pytest.mark.parametrize(
    ("answer", "told"), [(None, [each[:2] for each in REFUSED]), ("no", [("I9", each[0]) for each in TAKEN])]
)
def test_each_value_is_told(answer: str | None, told: list[tuple[str, str]]) -> None:
    problems = check_environment(lambda _: answer).problems
    assert [(each.split(": ")[0], each.split(": ")[1].split("=")[0]) for each in problems] == told


def test_empty_variables_that_are_taken_for_none() -> None:
    def passing_over(variables: Mapping[str, str]) -> str | None:
        return refusal({name: value for name, value in variables.items() if value})

    problems = check_environment(passing_over).problems
    assert problems[0] == "I7, I8: DATABASE_URL='' is not refused"
