"""Workers that run schedules side by side: each with a service of its own, and a server for its database."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.scenarios.discovered import require_scenario
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems.database import prepared_database
from payments_verify.systems.gated import EXPLORING, gated
from payments_verify.systems.gated_memory import gated_in_memory
from payments_verify.systems.in_process import expire_batch, sweep_by_itself
from payments_verify.systems.one_core import allowed_cores, run_anywhere
from pgweave.drive.race import Race
from pgweave.interleavings.parallel import worker_resources

# What is open in a worker's thread, and closed with its resources.
_opened: WeakKeyDictionary[AsyncExitStack, dict[MakeProgram, ServiceUnderTest]] = WeakKeyDictionary()


@dataclass(frozen=True)
class MakeProgram:
    """Makes a worker's program of a scenario; can be sent to any process of any machine.

    Attributes:
        scenario: the scenario's name.
        command: the command that starts the service; ``None`` for the application in the worker's process.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        in_memory: whether to run the application over memory, without a PostgreSQL.
        own_sweeper: whether its own sweeper's task sweeps.
        instances: how many of the application there are in the worker's process, over PostgreSQL.
    """

    scenario: str
    command: str | None = None
    bin_dir: Path | None = None
    in_memory: bool = False
    own_sweeper: bool = False
    instances: int = 1

    async def __call__(self) -> Race[Violation]:
        """The race, over the worker's service, which is made ready for the first of them."""
        race = scenario_race(require_scenario(self.scenario), await _service(replace(self, scenario="")))
        await race.prepare()
        return race


def local_processes(count: int) -> ProcessPoolExecutor:
    """An executor of so many processes of this machine."""
    # Forked, a worker would inherit this process's event loop and its database.
    return ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=run_anywhere,
        initargs=(allowed_cores(),),
    )


async def _service(kind: MakeProgram) -> ServiceUnderTest:
    resources = worker_resources()
    services = _opened.setdefault(resources, {})
    if kind not in services:
        if kind.in_memory:
            context = gated_in_memory()
        else:
            dsn = resources.enter_context(prepared_database(kind.bin_dir, EXPLORING))
            sweep = sweep_by_itself if kind.own_sweeper else expire_batch
            context = gated(dsn, kind.command, instances=kind.instances, sweep=sweep)
        services[kind] = await resources.enter_async_context(context)
    return services[kind]
