"""A service of somebody else's as two processes over one database, and started again on its database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments_verify.binding import Binding, load
from payments_verify.payments.conformance.examination import Examination, Trials, examine_level
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.systems import examination_of
from tests.conformance.test_peers import BINDING
from tests.docs.pages import ROOT
from tests.support.charges import command_of
from tests.support.postgres import chosen_bin_dir

SUPPORT = ROOT / "tests" / "support"
COMMAND = f"exec {command_of('alone_service')}"
FEW = Trials(programs=8, rounds=8, steps=8)
WITHOUT_LOCK = msgspec.structs.replace(load(BINDING), lock=None)


def declared(processes: Any, binding: Binding = WITHOUT_LOCK) -> Binding:
    service = msgspec.structs.replace(binding.service, processes=processes)
    return msgspec.structs.replace(binding, service=service)


@contextmanager
def examined(
    monkeypatch: pytest.MonkeyPatch, way: str, binding: Binding, highest: int
) -> Iterator[Examination]:
    monkeypatch.setenv("WAY", way)
    with examination_of(COMMAND, binding, chosen_bin_dir(), quick=True, highest=highest) as examination:
        yield examination


def told(examination: Examination, what: str) -> str:
    return "\n".join(each for each in examination.unchecked if each.startswith(what))


# What it has in its memory, the level at which that is found, and what the counterexample says.
BROKEN = {
    "a lock, at once": ("lock", 3, "not linearizable"),
    "a lock, in every order": ("lock", 4, "same-key-twice-on-two-instances: "),
    "answers": ("keys", 2, "end the service, and start it again on the same database"),
}


def on_two_alone(examination: Examination) -> Examination:
    """What two processes are asked beside what one is: the test is of that."""
    assert examination.on_two is not None
    return replace(examination, open_service=examination.on_two.open_service, scenarios=())


@pytest.mark.parametrize("what", BROKEN)
def test_what_one_process_has_in_its_memory_is_found(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    way, level, says = BROKEN[what]
    with examined(monkeypatch, way, WITHOUT_LOCK, level) as examination:
        part = examination if level == 2 else on_two_alone(examination)
        found = examine_level(part, FEW, level, folder=tmp_path, seed=1)
    assert found.verdict == "violated", found
    assert says in str(found.counterexample)
    assert level < 4 or "service.processes" in str(found.counterexample)


def test_keys_that_one_process_alone_knows_are_found_where_it_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with examined(monkeypatch, "keys", WITHOUT_LOCK, 2) as examination:
        assert examination.on_two is not None
        two = partial(without_restart, examination.on_two.open_service)
        part = replace(examination, open_service=two, on_two=None)
        found = examine_level(part, FEW, 2, folder=tmp_path, seed=1)
    assert found.verdict == "violated", found


@asynccontextmanager
async def without_restart(open_service: OpenService) -> AsyncIterator[ServiceUnderTest]:
    async with open_service() as service:
        yield replace(service, restart=None)


@pytest.mark.long
def test_what_is_in_the_database_holds_for_two_processes_and_for_one_that_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with examined(monkeypatch, "", load(BINDING), 4) as examination:
        assert not told(examination, "two processes") + told(examination, "a process that is started again")
        part = on_two_alone(examination)
        found = [examine_level(part, FEW, level, folder=tmp_path, seed=1) for level in (2, 3, 4)]
    assert [each.verdict for each in found] == ["holds"] * 3, found


# What a service does, what its binding says of its processes, and what is said of two, and of a start again.
LEFT_OUT = {
    "one by design": ("lock", "one", "service.processes = 'one'", ""),
    "in memory by design": ("keys", "one in memory", *["service.processes = 'one in memory'"] * 2),
    "does not start beside another": ("alone", "several", "another one serves", ""),
    "empties its database": ("empties", "several", "", "empties the database as it starts"),
    "cannot start twice": ("once", "several", *['relation "migrated" already exists'] * 2),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_cannot_be_two_processes_is_not_accused_and_said(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    way, processes, two, again = LEFT_OUT[what]
    with examined(monkeypatch, way, declared(processes), 2) as examination:
        for begins, says in (("two processes", two), ("a process that is started again", again)):
            assert says in told(examination, begins)
            assert bool(told(examination, begins)) == bool(says)
        if processes != "several":
            found = examine_level(examination, FEW, 2, folder=tmp_path, seed=1)
            assert found.verdict == "holds", found


def test_a_service_that_stores_nothing_in_its_database_is_one_process() -> None:
    command = f"exec {sys.executable} {SUPPORT}/orders_service.py"
    with examination_of(command, load(SUPPORT / "orders.toml"), chosen_bin_dir(), highest=2) as examination:
        assert examination.on_two is None
        assert "stores nothing in the database" in told(examination, "two processes")
        assert "stores nothing in the database" in told(examination, "a process that is started again")
