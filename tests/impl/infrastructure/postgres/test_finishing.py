"""What must not be given up half-way is not."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from payments_core.infrastructure.postgres.finishing import ended

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def complaints() -> list[dict[str, Any]]:
    """What the event loop was told of errors that nobody asked for."""
    return []


class Work:
    """Waits twice, and tells how far it came."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gates = asyncio.Event(), asyncio.Event()
        self.steps: list[str] = []
        self._error = error

    async def run(self) -> str:
        try:
            for number, gate in enumerate(self.gates):
                await gate.wait()
                self.steps.append(f"passed {number}")
            if self._error is not None:
                raise self._error
            return "done"
        finally:
            self.steps.append("ended")


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_is_waited_for() -> None:
    work = Work()
    task = asyncio.create_task(ended(asyncio.ensure_future(work.run())))
    for number, gate in enumerate(work.gates):
        await turns()
        assert len(work.steps) == number
        gate.set()
    assert await task == "done"
    work = Work(ValueError("late"))
    for gate in work.gates:
        gate.set()
    work.gates[0].clear()
    task = asyncio.create_task(ended(asyncio.ensure_future(work.run())))
    await turns()
    work.gates[0].set()
    with pytest.raises(ValueError, match="late"):
        await task


@pytest.mark.parametrize("error", [None, ValueError("nobody asks")])
async def test_who_is_cancelled_again_and_again_still_comes_to_the_end(
    error: Exception | None, complaints: list[dict[str, Any]]
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    work = Work(error)
    task = asyncio.create_task(ended(asyncio.ensure_future(work.run())))
    for gate in work.gates:
        await turns()
        task.cancel("given up")
        await turns()
        assert not task.done()
        gate.set()
    with pytest.raises(asyncio.CancelledError, match="given up"):
        await task
    assert work.steps == ["passed 0", "passed 1", "ended"]
    gc.collect()
    assert complaints == []


async def test_at_the_end_of_the_loop_it_is_ended_too() -> None:
    async def start() -> tuple[Work, Coroutine[Any, Any, str]]:
        work = Work()
        running = work.run()
        task = asyncio.create_task(ended(asyncio.ensure_future(running)))
        await turns()
        assert not task.done()
        return work, running

    def in_a_loop_that_ends() -> tuple[Work, Coroutine[Any, Any, str]]:
        with asyncio.Runner() as runner:
            return runner.run(start())

    work, running = await asyncio.to_thread(in_a_loop_that_ends)
    assert inspect.getcoroutinestate(running) == inspect.CORO_CLOSED
    assert work.steps == ["ended"]
