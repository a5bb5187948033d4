"""The differential machine and the stress as checks: systems made ready, run, and summed up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from payments_verify.payments.machine import run_machine
from payments_verify.payments.stress import stress
from payments_verify.payments.system import System
from payments_verify.result import CheckResult, Progress, Verdict

OpenSystem = Callable[[], AbstractAsyncContextManager[System]]


def machine_check(
    name: str,
    open_system: OpenSystem,
    *,
    examples: int,
    steps: int,
    seed: int | None,
    progress: Progress | None = None,
) -> CheckResult:
    """Run the stateful machine against a system.

    Args:
        name: the system's name in the result.
        open_system: makes the system ready and ends it.
        examples: programs to try.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew.
        progress: is told of each program.
    """
    started = time.monotonic()
    counterexample = None
    verdict: Verdict = "holds"
    with asyncio.Runner() as runner:
        context = open_system()
        system = runner.run(_enter(context))
        try:
            tally, failure = run_machine(
                system, runner, examples=examples, steps=steps, seed=seed, progress=progress
            )
        finally:
            runner.run(_leave(context))
    if failure is not None:
        verdict = "violated"
        counterexample = "\n".join([*getattr(failure, "__notes__", ()), f"{failure}"])
    return CheckResult(
        name=f"stateful machine: {name}",
        kind="differential",
        cases=tally.steps,
        verdict=verdict,
        seconds=time.monotonic() - started,
        details={
            "examples": tally.examples,
            "comparisons": tally.comparisons,
            "outcomes": dict(sorted(tally.outcomes.items())),
        },
        counterexample=counterexample,
    )


def stress_check(
    name: str, open_system: OpenSystem, folder: Path, *, rounds: int, seed: int, progress: Progress | None
) -> CheckResult:
    """Stress a system, and check every history for linearizability.

    Args:
        name: the system's name in the result.
        open_system: makes the system ready and ends it.
        folder: where the histories are saved.
        rounds: how many rounds to play.
        seed: draws the commands.
        progress: is told of each round.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)

    async def run() -> CheckResult:
        async with open_system() as system:
            found = await stress(system, folder, rounds=rounds, seed=seed, progress=progress)
        verdict: Verdict = "holds"
        if found.undecided is not None:
            verdict = "could not run"
        if found.violation is not None:
            verdict = "violated"
        return CheckResult(
            name=f"stress: {name}",
            kind="linearizability",
            cases=found.operations,
            verdict=verdict,
            seconds=time.monotonic() - started,
            details={
                "rounds": found.rounds,
                "seed": seed,
                "outcomes": dict(sorted(found.outcomes.items())),
                "histories": str(folder),
            },
            counterexample=found.violation or found.undecided,
        )

    return asyncio.run(run())


async def _enter(context: AbstractAsyncContextManager[System]) -> System:
    return await context.__aenter__()


async def _leave(context: AbstractAsyncContextManager[System]) -> None:
    await context.__aexit__(None, None, None)
