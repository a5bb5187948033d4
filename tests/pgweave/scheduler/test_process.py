"""When somebody who waits for a process looks again."""

from __future__ import annotations

import asyncio

import pytest

from pgweave.scheduler import Process

LONG_S = 60.0


@pytest.mark.parametrize("answers_count", [True, False])
def test_an_answer_wakes_those_for_whom_it_counts(answers_count: bool) -> None:
    async def main() -> bool:
        process = Process(0, "one", lambda: 0)
        waiting = asyncio.ensure_future(process.change(LONG_S, answers_count=answers_count))
        await asyncio.sleep(0)
        process.answered()
        await asyncio.sleep(0)
        was_woken = waiting.done()
        process.changed()
        assert await waiting
        return was_woken

    assert asyncio.run(main()) is answers_count


def test_the_answer_to_one_that_is_over_wakes_everybody() -> None:
    async def main() -> None:
        process = Process(0, "one", lambda: 0)
        process.task = asyncio.ensure_future(asyncio.sleep(0))
        await process.task
        waiting = asyncio.ensure_future(process.change(LONG_S, answers_count=False))
        await asyncio.sleep(0)
        process.answered()
        assert await waiting

    asyncio.run(main())
