"""Interrupts a command again and again while it makes a mismatch smaller, and prints what came of it.

``python interrupted_shrinking.py COMMAND SAMPLES SEED FOLDER``: each time at another moment.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from lab import alarms
from lab.cli import app as lab
from payments_verify.cli import app
from payments_verify.cli.interrupts import interrupt_on_termination
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.programs import run as programs
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.practice import write_skeleton
from payments_verify.suite import Planned
from payments_verify.systems import in_memory

SOONEST_S, LONGEST_S = 0.1, 0.5
PROGRAMS = 1_000
"""More than are ever drawn before one of them captures: what few programs show is left to chance."""
moments = random.Random()
armed = False


@dataclass
class Wrong:
    """Forgets what it captured. The first time that this is seen, the interrupt is on its way."""

    inner: Any

    async def send(self, invocation: Invocation) -> Observation:
        global armed  # noqa: PLW0603 - one for all services of a sample
        observed: Observation = await self.inner.send(invocation)
        payment = observed.value.get("payment")
        if not (invocation.f == "read" and payment and payment["state"] == "captured"):
            return observed
        if not armed:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(SOONEST_S, LONGEST_S))
        await asyncio.sleep(0.01)
        return Observation(observed.kind, {**observed.value, "payment": {**payment, "state": "failed"}})


def only_drawn_programs() -> None:
    """Leave out the programs of classes, which are not made smaller."""
    vars(programs).update(_run_input_programs=lambda _calls: None)


@asynccontextmanager
async def wrong() -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as system:
        yield replace(system, clients=(Wrong(system.clients[0]),))


def planned(*_arguments: object, **_options: object) -> Iterator[Planned]:
    only_drawn_programs()
    yield Planned("machine", partial(machine_check, "wrong", wrong, examples=200, steps=15, seed=1))


@dataclass(frozen=True)
class WrongJob:
    """The main job, with the wrong service in it. The interrupt comes to the command, which hands it on."""

    seed: float

    @contextmanager
    def checks(self) -> Iterator[tuple[list[Planned], str]]:
        moments.seed(self.seed)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getppid(), signal.SIGINT))
        yield list(planned()), "here"


@contextmanager
def examination(*_arguments: object, **_options: object) -> Iterator[Examination]:
    yield Examination("wrong", wrong)


def command_line(command: str, folder: Path) -> list[str]:
    """The command, which finds the wrong service wherever it looks for one."""
    only_drawn_programs()
    places = {"machine": "payments_verify.cli.differential", "false-alarms": "lab.cli.false_alarms"}
    module: Any = importlib.import_module(places.get(command, f"payments_verify.cli.{command}"))
    match command:
        case "machine":
            module.in_memory = wrong
            return ["--system", "in-memory", "--steps", "15", "--examples", f"{PROGRAMS}"]
        case "verify":
            from tests.support.interrupted_shrinking import WrongJob as Importable  # noqa: PLC0415

            module.MainJob = lambda *_arguments, **_options: Importable(moments.random())
            return ["--output", str(folder), "--at-once", "1"]
        case "conformance":
            module.examined = examination
            module.FULL = replace(module.FULL, programs=PROGRAMS)
            return ["--url", "http://127.0.0.1:1", "--output", str(folder)]
        case "practice":
            module.examination_of = examination
            module.QUICK = replace(module.QUICK, programs=PROGRAMS)
            if not (folder / "exercise").exists():
                write_skeleton(folder / "exercise")
            return ["check", str(folder / "exercise"), "--output", str(folder)]
        case "false-alarms":
            module.server_version = lambda _folder: "here"
            vars(alarms).update(prepared_database=lambda *_rest: nullcontext("dsn"))
            vars(alarms).update(_with_chance=planned, _as_somebody_elses=lambda *_rest: None)
            return ["--postgres-bin", "x", "--runs", "2", "--output", str(folder / str(moments.random()))]
    raise ValueError(command)


def sample(command: str, folder: Path) -> dict[str, Any]:
    """Run the command once, and interrupt it."""
    global armed  # noqa: PLW0603 - see Wrong
    armed = False
    arguments = command_line(command, folder)
    try:
        done = CliRunner().invoke(lab if command == "false-alarms" else app, [command, *arguments])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"code": done.exit_code, "told": done.stdout, "complained": done.stderr}


def main() -> None:
    """Print the samples, a line each; each is a process of its own, as a command is."""
    command, samples, seed, folder = sys.argv[1:]
    moments.seed(int(seed))
    interrupt_on_termination()
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    for _ in range(int(samples)):
        moments.seed(moments.random())
        child = os.fork()
        if child == 0:
            print(json.dumps(sample(command, Path(folder))), flush=True)  # noqa: T201
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
