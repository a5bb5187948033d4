"""The check of when sweeps begin is able to fail: by a pause, a batch's size, and what all may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from types import SimpleNamespace

import pytest

from payments_core.application.again import again_after_conflict
from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import ExpirePayments
from payments_core.domain.payment import Payment
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
                await sweep(self.store, batch, self.limit_s, self._batch_ended)
                self.swept()
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
                await sweep(self.store, batch, self.limit_s, self._batch_ended)
                self.swept()
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
                await sweep(self.store, self.batch, self.limit_s, self._batch_ended)
                self.swept()
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


class _Silent(Sweeper):
    """Is silent until the end of a sweep."""

    def _batch_ended(self, payments: int) -> None:
        self.expired(payments)


class _Untold(Sweeper):
    """Tells of no sweep's end."""

    async def _sweep_forever(self) -> None:
        self.swept = lambda: None
        await super()._sweep_forever()


class _OneBatch(Sweeper):
    """Expires what fits into a batch, and no more until the next sweep."""

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            self._batch_ended(len(await ExpirePayments(self.store)(self.batch)))
            self.swept()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (_Silent, "I9: a sweeper that sweeps is told of as one that stands still"),
        (_Untold, "I12: 80 payments are due"),
        (_OneBatch, "and 16 have expired once all batches could have"),
    ],
)
def test_a_sweeper_that_does_otherwise_with_a_backlog_is_found(
    broken: type[Sweeper], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.sweeps_in_time.Sweeper", broken)
    assert told in str(found())


async def _within_the_limit_in_all(
    store: PaymentStore, batch: int, limit_s: float, batch_ended: Callable[[int], None]
) -> int:
    async with asyncio.timeout(limit_s):
        return await sweep(store, batch, None, batch_ended)


@again_after_conflict
async def _each_try_within_the_limit(self: ExpirePayments, limit: int) -> Sequence[Payment]:
    async with asyncio.timeout(1_000.0):
        tried: Sequence[Payment] = await _TRY(self, limit)
        return tried


_TRY = ExpirePayments.__call__.__wrapped__  # type: ignore[attr-defined]


@pytest.mark.invariant("I9")
def test_a_limit_for_a_whole_sweep_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "sweep", _within_the_limit_in_all)
    told = (
        "I9: 80 payments are due, a batch takes 750 s of the 1000 s that it may, and 2 are locked at a time"
    )
    assert str(found()).startswith(told)


@pytest.mark.invariant("I9")
def test_a_limit_for_each_try_of_a_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_limit(
        store: PaymentStore, batch: int, _limit_s: float, batch_ended: Callable[[int], None]
    ) -> int:
        return await sweep(store, batch, None, batch_ended)

    monkeypatch.setattr(sweeper, "sweep", without_limit)
    monkeypatch.setattr(ExpirePayments, "__call__", _each_try_within_the_limit)
    assert str(found()).startswith("I9: a batch that meets conflicts is not given up as its limit ends")


@pytest.mark.invariant("I9")
def test_a_limit_for_a_sweep_that_is_given_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def within_an_hour(store: PaymentStore, batch: int) -> int:
        return await sweep(store, batch, 3_000.0)

    monkeypatch.setattr("payments_verify.systems.whole.sweeps_in_time.sweep", within_an_hour)
    assert str(found()).startswith("I9: a sweep without a limit, of 80 that are due, comes to TimeoutError")
