"""Limits in time: as they are on an idle machine, longer on a busy one, and passed by what never comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from itertools import count

import pytest

from payments_verify import patience
from payments_verify.patience import ask_until, comes_true, patient


def busy(monkeypatch: pytest.MonkeyPatch, load: float, cores: int = 2) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(patience, "usable_cores", lambda: cores)


@pytest.mark.parametrize(("load", "limit_s"), [(0.0, 10.0), (2.0, 10.0), (3.0, 15.0), (34.0, 170.0)])
def test_a_limit_is_as_much_longer_as_there_are_others(
    load: float, limit_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(monkeypatch, load)
    assert patient(10.0) == limit_s


def test_what_comes_is_waited_for_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, 100.0)
    looks = iter([False, False, True])
    assert asyncio.run(comes_true(lambda: next(looks), 10.0))


def test_what_never_comes_is_given_up_later_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def waited_s(load: float) -> float:
        busy(monkeypatch, load)
        began = time.monotonic()
        assert not asyncio.run(comes_true(lambda: False, 0.1))
        return time.monotonic() - began

    assert waited_s(0.0) >= 0.1
    assert waited_s(8.0) >= 0.4


def asked(answers: Iterable[int], limit_s: float, takes_s: float = 0.0) -> int:
    """What is found of these answers, one after the other, that is 3 at least."""
    left = iter(answers)

    async def ask() -> int:
        answer = next(left)
        await asyncio.sleep(takes_s)
        return answer

    return asyncio.run(ask_until(ask, lambda answer: answer >= 3, limit_s, 0.01))


def test_the_first_answer_that_is_so_is_given_and_none_is_asked_for_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy(monkeypatch, 0.0)
    assert asked([3], 10.0) == 3
    assert asked([0, 2, 4], 10.0) == 4


def test_of_answers_that_are_never_so_the_last_is_given_later_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def waited_s(load: float) -> float:
        busy(monkeypatch, load)
        began = time.monotonic()
        assert -1000 < asked(count(-1000), 0.1) < 3
        return time.monotonic() - began

    assert waited_s(0.0) >= 0.1
    assert waited_s(8.0) >= 0.4


def test_an_answer_that_comes_after_the_limit_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, 0.0)
    assert asked([0, 3], 0.01, takes_s=0.1) == 3
