"""Services whose clock the harness cannot move: it is found out, and windows are waited for instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from payments_verify.binding import Binding, Clock, Sweep, load
from payments_verify.payments.conformance.examination import Trials, examine
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.programs.windows_at_once import check_windows_at_once
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.systems import (
    CommandError,
    empty_databases,
    examination_of,
    examinations,
    in_memory,
    settle_clock,
    started_service,
)
from payments_verify.systems.started import traits_when_started
from pgweave.service import patience
from tests.conformance.test_peers import BINDING, CHARGES
from tests.support.postgres import chosen_bin_dir

MOVED = ["clock_timestamp()", "now()"]
# Asked in a transaction of its own, each of them is right.
NOT_MOVED = {
    "CURRENT_TIMESTAMP": "after two windows, a capture is answered captured",
    "LOCALTIMESTAMP AT TIME ZONE current_setting('TimeZone')": "a capture is answered captured",
    "'now'::timestamptz": "a capture is answered captured",
    "pg_catalog.clock_timestamp()": "a capture is answered captured",
    "pg_catalog.now()": "a capture is answered captured",
    "host": "a capture is answered captured",
}
AT_ONCE = partial(check_windows_at_once, seed=1)


@pytest.fixture
def charges(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Charges with a lock, and with the clock that is asked for."""
    monkeypatch.setenv("CHARGES_LOCKED", "1")

    def made(
        clock: str, *, apart: bool = True, binding: Binding | None = None
    ) -> Callable[[], tuple[OpenService, Binding, str | None]]:
        monkeypatch.setenv("CHARGES_CLOCK", clock)
        monkeypatch.setenv("CHARGES_CLOCK_APART", "1" if apart else "")

        def settled() -> tuple[OpenService, Binding, str | None]:
            found, why = settle_clock(CHARGES, binding or load(BINDING), new_database)
            return partial(started_service, CHARGES, found, new_database), found, why

        return settled

    with empty_databases(chosen_bin_dir()) as new_database:
        yield made


@pytest.mark.parametrize("clock", MOVED)
def test_a_clock_that_follows_is_moved(charges: Any, clock: str) -> None:
    _, binding, why = charges(clock)()
    assert (why, binding) == (None, load(BINDING))


@pytest.mark.parametrize("clock", NOT_MOVED)
def test_a_clock_that_does_not_follow_is_found_out(charges: Any, clock: str) -> None:
    _, binding, why = charges(clock)()
    assert binding.clock.by == "none"
    assert NOT_MOVED[clock] in why


def test_a_right_service_with_a_clock_of_its_own_is_not_accused(charges: Any) -> None:
    open_service, _, _ = charges("CURRENT_TIMESTAMP")()
    results = [
        machine_check("charges", open_service, examples=10, steps=10, seed=1),
        windows_check("one at a time", open_service),
        windows_check("at once", open_service, AT_ONCE),
    ]
    assert [each.counterexample for each in results] == [None] * 3
    assert results[2].cases > 30  # the one that waits for a lock too


def test_a_right_service_that_expires_by_itself_is_not_accused(
    charges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGES_SWEEPS_EVERY_MS", "300")
    open_service, binding, why = charges("clock_timestamp()")()
    assert binding.clock.by == "none"
    assert "expires payments by itself" in why
    results = [
        machine_check("charges", open_service, examples=10, steps=10, seed=1),
        windows_check("one at a time", open_service),
        windows_check("at once", open_service, AT_ONCE),
    ]
    assert [each.counterexample for each in results] == [None] * 3


def says_within(seconds: float) -> Any:
    return msgspec.structs.replace(load(BINDING), sweep=Sweep(request="POST /jobs/expire", within=seconds))


@pytest.mark.parametrize(("every_ms", "told"), [("700", None), ("0", "(sweep.within) after the end of the")])
def test_a_service_that_says_within_how_long_it_expires_payments_is_held_to_it(
    charges: Any, monkeypatch: pytest.MonkeyPatch, every_ms: str, told: str | None
) -> None:
    monkeypatch.setenv("CHARGES_SWEEPS_EVERY_MS", every_ms)
    open_service, binding, why = charges("clock_timestamp()", binding=says_within(1))()
    assert (binding.clock.by, why) == (
        "none",
        "the service expires payments by itself, within 1 s",
    )
    found = windows_check("one at a time", open_service)
    assert found.verdict == ("holds" if told is None else "violated")
    assert told is None or told in str(found.counterexample)


def test_a_service_that_sweeps_by_itself_is_kept_from_the_gate(charges: Any) -> None:
    charges("clock_timestamp()")
    with examination_of(CHARGES, says_within(60), chosen_bin_dir(), quick=True) as examination:
        assert examination.open_behind_gate is None
    assert "levels 4 and 5: the service expires payments by itself: sweep.within" in examination.unchecked


def test_what_only_the_gate_needs_is_not_looked_for_below_it(
    charges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    charges("clock_timestamp()")
    monkeypatch.setattr(examinations, "habits_of", lambda _gated: pytest.fail("watched"))
    with examination_of(CHARGES, load(BINDING), chosen_bin_dir(), quick=True, highest=3) as examination:
        assert examination.open_behind_gate is None


def test_a_service_that_expires_without_saying_so_is_told_how_to() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as made:

            async def send(invocation: Invocation) -> Observation:
                await made.sweep()
                return await made.clients[0].send(invocation)

            yield replace(made, clients=(SimpleNamespace(send=send),))

    found = machine_check("sweeping", opened, examples=60, steps=15, seed=1)
    assert found.verdict == "violated"
    assert "sweep.within in its binding" in str(found.counterexample)


def test_statements_that_no_request_asks_for_keep_it_from_the_gate(
    charges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    charges("clock_timestamp()")
    with examination_of(CHARGES, load(BINDING), chosen_bin_dir(), quick=True) as examination:
        assert examination.open_behind_gate is not None
    monkeypatch.setenv("CHARGES_SWEEPS_EVERY_MS", "300")
    with examination_of(CHARGES, load(BINDING), chosen_bin_dir(), quick=True) as examination:
        assert examination.open_behind_gate is None
    assert any(
        "the service sends statements that no request asks for" in each for each in examination.unchecked
    )


def test_the_transactions_start_instead_of_the_present_is_still_caught(charges: Any) -> None:
    open_service, _, why = charges("CURRENT_TIMESTAMP", apart=False)()
    assert why is not None
    found = windows_check("at once", open_service, AT_ONCE)
    assert found.verdict == "violated"
    assert "waited for the payment's lock until the window had ended" in str(found.counterexample)


@pytest.mark.parametrize("every_ms", ["0", "2"], ids=["swept by a request", "by itself"])
def test_a_sweep_that_undoes_a_capture_is_caught(
    charges: Any, monkeypatch: pytest.MonkeyPatch, every_ms: str
) -> None:
    monkeypatch.setenv("CHARGES_BUG", "stale")
    monkeypatch.setenv("CHARGES_SWEEPS_EVERY_MS", every_ms)
    monkeypatch.setenv("CHARGES_JITTER_MS", "30")
    open_service, _, _ = charges("host", apart=False)()
    for seed in range(5):
        found = windows_check("at once", open_service, partial(check_windows_at_once, seed=seed))
        if found.verdict != "holds":
            break
    assert found.verdict == "violated"
    told = str(found.counterexample)
    assert "was answered captured; after it: the payment has to be captured, and a read shows" in told


def test_a_clock_that_stands_is_still_caught(charges: Any) -> None:
    open_service, _, why = charges("'2000-01-01Z'::timestamptz", apart=False)()
    assert why is not None
    found = windows_check("one at a time", open_service)
    assert "first capture after the end of the window: the model answers window_expired" in str(
        found.counterexample
    )


def test_it_is_said_and_level_3_waits_too(charges: Any, tmp_path: Path) -> None:
    charges("host")
    with examination_of(CHARGES, load(BINDING), chosen_bin_dir(), quick=True) as examination:
        few = Trials(programs=2, rounds=2, steps=5)
        found = examine(examination, few, folder=tmp_path, seed=1, levels=range(1, 4))
    assert (found.reached, found.verdict) == (3, "holds"), found
    said = "the clock is not moved: after two windows, a capture is answered captured"
    assert said in found.unchecked
    assert [check.name for check in found.levels[2].checks][-1].endswith("by waiting")


def test_a_service_that_does_not_start_is_left_to_the_levels() -> None:
    with empty_databases(chosen_bin_dir()) as new_database:
        assert settle_clock("exit 3", load(BINDING), new_database) == (load(BINDING), None)


def test_what_answers_nothing_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "IDLE_LIMIT_S", 1.0)
    with (
        pytest.raises(CommandError, match="does the service read HOST and PORT"),
        examination_of("exec sleep 600", load(BINDING), chosen_bin_dir()),
    ):
        pytest.fail("the examination would wait for it again")


def test_a_binding_that_says_that_the_clock_stays_is_believed() -> None:
    binding = msgspec.structs.replace(load(BINDING), clock=Clock(by="none"))
    assert settle_clock("exit 3", binding, lambda: "") == (binding, None)


@pytest.mark.parametrize("by", ["none", "database"])
def test_what_a_clock_tells_apart_stays_known_where_it_is_not_moved(by: Any) -> None:
    clock = Clock(by=by, resolution="seconds", until="2038-01-19T03:14:07Z")
    within = None if by == "none" else 60.0  # so that nothing is started to find out
    binding = msgspec.structs.replace(load(BINDING), clock=clock)
    assert binding.sweep is not None
    binding = msgspec.structs.replace(binding, sweep=msgspec.structs.replace(binding.sweep, within=within))
    settled, _ = settle_clock("exit 3", binding, lambda: pytest.fail("started"))
    assert settled.clock == Clock(by="none", resolution="seconds", until=clock.until)
    traits = traits_when_started(settled)
    assert (traits.moves_clock, traits.reads_instants) == (False, False)
    assert traits.resolution == 1_000_000


@dataclass
class Late:
    """Says that a payment's window has ended, or that it has not, from some capture on."""

    client: Any
    outcome: str

    async def send(self, invocation: Invocation) -> Observation:
        seen: Observation = await self.client.send(invocation)
        if invocation.f == "capture":
            return Observation("ok", dict(seen.value) | {"outcome": self.outcome})
        return seen


@pytest.mark.parametrize("outcome", ["captured", "window_expired"])
def test_captures_that_race_with_the_end_are_judged_on_both_sides(outcome: str) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as system:
            traits = replace(system.traits, moves_clock=False)
            clients = (Late(system.clients[0], outcome),)
            yield replace(system, clients=clients, traits=traits, open_row_holder=None)

    found = windows_check("at once", opened, AT_ONCE)
    assert found.verdict == "violated"
    assert f"the service {{'outcome': '{outcome}'" in str(found.counterexample)
