"""Which connection gives way when there are too many."""

from __future__ import annotations

from typing import Any

import pytest

from payments_core.entrypoints.http import connections
from payments_core.entrypoints.http.connections import Connections


class Open:
    """A connection that notes what becomes of it."""

    def __init__(self) -> None:
        self.became = ""

    def give_way(self) -> None:
        self.became = "gave way"

    def refuse(self) -> None:
        self.became = "refused"


def opened(bound: Connections, count: int, rejected: list[str]) -> list[Open]:
    made = [Open() for _ in range(count)]
    for each in made:
        bound.add(each, rejected.append)
    return made


def test_who_has_waited_for_longest_gives_way() -> None:
    rejected: list[str] = []
    bound = Connections(3)
    first, second, third = opened(bound, 3, rejected)
    bound.work(first)
    bound.wait(second)
    assert rejected == []
    opened(bound, 1, rejected)
    assert [each.became for each in (first, second, third)] == ["", "", "gave way"]
    bound.wait(first)
    opened(bound, 1, rejected)
    assert [each.became for each in (first, second)] == ["", "gave way"]
    assert rejected == ["connections"] * 2


def test_if_all_are_worked_on_the_new_one_is_refused() -> None:
    rejected: list[str] = []
    bound = Connections(2)
    working = opened(bound, 2, rejected)
    for each in working:
        bound.work(each)
    (new,) = opened(bound, 1, rejected)
    assert [each.became for each in (*working, new)] == ["", "", "refused"]
    bound.remove(new)
    bound.remove(working[0])
    (newer,) = opened(bound, 1, rejected)
    assert newer.became == ""


class RecordedLog:
    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.told.append((event, fields.get("closed")))


def test_it_is_told_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    log = RecordedLog()
    monkeypatch.setattr(connections, "_log", log)
    monkeypatch.setattr("time.monotonic", lambda: now)
    bound = Connections(1)
    opened(bound, 4, [])
    now += 11
    opened(bound, 1, [])
    assert [closed for event, closed in log.told if "too many connections" in event] == [1, 3]
