"""Workers that run schedules side by side: each with a service of its own, and a server for its database."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from payments_verify.interleavings.parallel import worker_resources
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


def local_processes(count: int) -> ProcessPoolExecutor:
    """An executor of so many processes of this machine."""
    # Forked, a worker would inherit this process's event loop and its database.
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


async def _service(kind: MakeProgram) -> GatedService:
    if kind not in _opened.services:
        resources = worker_resources()
        if kind.in_memory:
            context = gated_in_memory()
        else:
            dsn = resources.enter_context(prepared_database(kind.bin_dir, EXPLORING))
            context = gated(dsn, kind.command)
        _opened.services[kind] = await resources.enter_async_context(context)
    return _opened.services[kind]
