"""The check of when sweeps begin is able to fail: by a pause, and by the size of a batch."""

from __future__ import annotations

import asyncio
from math import inf
from types import SimpleNamespace

import pytest

from payments_core.entrypoints import sweeper
from payments_core.entrypoints.sweeper import Sweeper, sweep
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole.sweeps_in_time import wrong_pauses


def found() -> str | None:
    with nothing_logged():
        return asyncio.run(wrong_pauses(""))


def test_this_service_sweeps_when_it_says() -> None:
    assert found() is None


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("pause_s", "told"),
    [
        (inf, "I9: 1 sweeps have failed, and none is tried again within 1.2 s, with one every 3600 s"),
        (2.0, "I9: 1 sweeps have failed, and none is tried again within 1.2 s, with one every 3600 s"),
    ],
)
def test_a_sweep_that_is_tried_again_too_late_is_found(
    pause_s: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_AFTER_A_FAILURE_S", pause_s)
    assert found() == told


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.7, "I9: a sweep has begun 2736 s after the one before it, which did not fail"),
        (1.3, "I9: no sweep has begun for 4320 s"),
    ],
)
def test_another_pause_is_found(share: float, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "random", SimpleNamespace(uniform=lambda *_: share))
    assert str(found()).startswith(told)


class _Doubling(Sweeper):
    """Waits twice as long after each failure in a row."""

    async def _sweep_forever(self) -> None:
        pause_s, batch = self.interval_s, self.batch
        while True:
            await asyncio.sleep(pause_s)
            try:
                await sweep(self.store, batch, self.limit_s)
                pause_s, batch = self.interval_s, self.batch
            except Exception:  # noqa: BLE001 - as the sweeper does
                pause_s = min(self.interval_s, 0.5) if batch == self.batch else 2 * pause_s
                batch = max(1, batch // 2)


class _Small(Sweeper):
    """Takes fewer at a time for good, once one has failed."""

    async def _sweep_forever(self) -> None:
        pause_s, batch = self.interval_s, self.batch
        while True:
            await asyncio.sleep(pause_s)
            try:
                await sweep(self.store, batch, self.limit_s)
                pause_s = self.interval_s
            except Exception:  # noqa: BLE001 - as the sweeper does
                pause_s, batch = min(self.interval_s, 1.0), max(1, batch // 2)


class _Large(Sweeper):
    """Takes as many at a time as before, though that has failed."""

    async def _sweep_forever(self) -> None:
        pause_s = self.interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await sweep(self.store, self.batch, self.limit_s)
                pause_s = self.interval_s
            except Exception:  # noqa: BLE001 - as the sweeper does
                pause_s = min(self.interval_s, 1.0)


class _Standing(Sweeper):
    """Does not give up what stands still."""

    async def _sweep_forever(self) -> None:
        self.limit_s = 1e9
        await super()._sweep_forever()


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (_Doubling, "3 sweeps have failed, and none is tried again within 1.2 s"),
        (_Small, "1 payments are locked at a time, and not 4"),
        (_Large, "1 sweeps have failed, and 4 payments are locked at a time"),
        (_Standing, "a sweep was given up, and none is tried again within 1.2 s"),
    ],
)
def test_a_sweeper_that_does_otherwise_after_failures_is_found(
    broken: type[Sweeper], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.sweeps_in_time.Sweeper", broken)
    assert told in str(found())
