"""What a check has opened is closed, though an interrupt comes just when it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from payments_verify.payments.programs.check import opened_in


class Interrupted:
    """A runner whose first run comes to its end, and an interrupt comes with it."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._runs = 0

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        result = self._runner.run(coroutine)
        self._runs += 1
        if self._runs == 1:
            raise KeyboardInterrupt
        return result


@asynccontextmanager
async def service(told: list[str]) -> AsyncIterator[str]:
    told.append("open")
    try:
        yield "service"
    finally:
        await asyncio.sleep(0)
        told.append("closed")


def test_it_is_closed_with_the_block() -> None:
    told: list[str] = []
    with asyncio.Runner() as runner:
        with opened_in(service(told), runner) as opened:
            told.append(opened)
        assert told == ["open", "service", "closed"]


def test_an_interrupt_as_it_comes_to_be_open_leaves_nothing_to_the_loop() -> None:
    told: list[str] = []
    with asyncio.Runner() as runner:
        interrupted = cast("asyncio.Runner", Interrupted(runner))
        with pytest.raises(KeyboardInterrupt), opened_in(service(told), interrupted):
            told.append("entered")
        # The loop would close it as well, when it ends itself.
        assert told == ["open", "closed"]
