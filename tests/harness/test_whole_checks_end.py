"""The checks of a whole process end, whatever becomes of a cancellation, and of what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from psycopg_pool.sched_async import AsyncScheduler

from payments_verify.systems.whole import checks as whole_checks
from payments_verify.systems.whole import unreadiness

pytestmark = pytest.mark.anyio


@contextmanager
def new_database(dsn: str) -> Iterator[str]:
    yield dsn


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadiness, "_AGAIN_S", 0.01)

    async def lose_the_first() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(lose_the_first())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await unreadiness.end(task)
    assert task.cancelled()


@pytest.mark.parametrize("turns", range(4))
async def test_a_pool_s_scheduler_that_is_woken_as_it_is_cancelled_ends(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadiness, "_AGAIN_S", 0.01)
    scheduler = AsyncScheduler()
    task = asyncio.create_task(scheduler.run())
    await asyncio.sleep(0.05)
    await scheduler.enter(100, lambda: None)
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await unreadiness.end(task)
    assert task.cancelled()


async def test_a_check_s_own_timeout_is_not_told_as_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def give_up(_dsn: str) -> None:
        raise TimeoutError("the server did not start")

    monkeypatch.setattr(whole_checks, "new_database", new_database)
    monkeypatch.setattr(whole_checks, "_CHECKS", {"what gives up": give_up})
    with pytest.raises(TimeoutError, match=r"^the server did not start$"):
        await whole_checks.whole_checks("dsn")["what gives up"]()


async def test_a_check_that_does_not_end_is_given_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stand_still(_dsn: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(whole_checks, "new_database", new_database)
    monkeypatch.setattr(whole_checks, "_CHECKS", {"what stands still": stand_still})
    monkeypatch.setattr(whole_checks, "LIMIT_S", 0.05)
    check = whole_checks.whole_checks("dsn")["what stands still"]
    with pytest.raises(
        TimeoutError, match=r"the check of what stands still has not come to its end for 0\.05 s"
    ):
        await check()
