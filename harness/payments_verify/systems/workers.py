"""Workers that run schedules side by side: each with a service of its own, and a server for its database."""

from __future__ import annotations

import asyncio
import atexit
import threading
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from payments_verify.payments.scenario_program import ScenarioProgram
from payments_verify.payments.scenarios import SCENARIOS
from payments_verify.payments.system import GatedService
from payments_verify.systems.database import prepared_database
from payments_verify.systems.gated import EXPLORING, gated
from payments_verify.systems.gated_memory import gated_in_memory


class _Opened(threading.local):
    """What a worker's thread, and its event loop, keep from one schedule to the next."""

    def __init__(self) -> None:
        self.services: dict[MakeProgram, GatedService] = {}


_servers = ExitStack()
atexit.register(_servers.close)
_opened = _Opened()


@dataclass(frozen=True)
class MakeProgram:
    """Makes a worker's program of a scenario; can be sent to any process of any machine.

    Attributes:
        scenario: the scenario's name.
        command: the command that starts the service; ``None`` for the application in the worker's process.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        in_memory: whether to run the application over memory, without a PostgreSQL.
    """

    scenario: str
    command: str | None = None
    bin_dir: Path | None = None
    in_memory: bool = False

    async def __call__(self) -> ScenarioProgram:
        """The program, over the worker's service, which is made ready for the first of them."""
        service = await _service(replace(self, scenario=""))
        program = ScenarioProgram(SCENARIOS[self.scenario], service)
        await program.prepare()
        return program


def _close(loop: asyncio.AbstractEventLoop, context: AbstractAsyncContextManager[GatedService]) -> None:
    if not loop.is_closed():
        loop.run_until_complete(context.__aexit__(None, None, None))


async def _service(kind: MakeProgram) -> GatedService:
    if kind not in _opened.services:
        if kind.in_memory:
            context = gated_in_memory()
        else:
            dsn = _servers.enter_context(prepared_database(kind.bin_dir, EXPLORING))
            context = gated(dsn, kind.command)
        _opened.services[kind] = await context.__aenter__()
        # Kept open: it ends with the worker's process, before its loop and its server do.
        atexit.register(_close, asyncio.get_running_loop(), context)
    return _opened.services[kind]
