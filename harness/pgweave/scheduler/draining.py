"""The end of a run: nobody is left under way for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pgweave.gate.proxy import PassAll
from pgweave.scheduler.conditions import Limits
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.process import Process
from pgweave.scheduler.waiting import Waiting


async def drain(
    processes: Sequence[Process], database: GatedDatabase | None, waiting: Waiting, limits: Limits
) -> None:
    """Let everything run to its end, or cancel it."""
    gate = None if database is None else database.gate
    if gate is not None:
        gate.observer = PassAll()
        gate.refuses_next = False
    waiting.turns.all_go_on()
    for process in processes:
        process.free_running = True
        for parked in process.parked:
            parked.release()
        process.parked.clear()
    if gate is not None:
        for session in list(gate.sessions):
            if session.owner is not None or session.answers.are_kept:  # mostly many are idle
                session.pass_everything()
    else:
        await waiting.turn()
    tasks = [process.task for process in processes if process.task is not None]
    if tasks:
        try:
            await asyncio.wait(tasks, timeout=limits.step if gate is not None else 0)
        finally:
            for task in tasks:  # one after the other: what one lets go may be all that the next waits for
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
