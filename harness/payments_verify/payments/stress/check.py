"""The stress as a check: a system made ready, stressed, and what was found tried once more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from payments_verify.payments.inputs.coverage import InputClasses
from payments_verify.payments.service.under_test import OpenService, with_output
from payments_verify.payments.specification.transitions import commands_reached
from payments_verify.payments.stress.round import StressReport
from payments_verify.payments.stress.run import stress
from payments_verify.payments.told.http import http_details, http_drawings, with_http
from payments_verify.result import CheckResult, Progress, violation_kept
from payments_verify.state_edges import edge_counts
from pgweave.verdict import Verdict

_TRIES_ALONE = 3


def stress_check(
    name: str, open_system: OpenService, folder: Path, *, rounds: int, seed: int, progress: Progress | None
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

    found = StressReport()
    planned: list[str] = []
    classes = InputClasses()

    async def again(number: int, attempt: int) -> StressReport:
        alone = folder / f"alone-{attempt}"
        alone.mkdir(exist_ok=True)
        async with open_system() as system:
            return await stress(system, alone, rounds=1, first=number, seed=seed)

    async def run() -> None:
        await play()
        if found.violation is not None and found.damage is None and not found.ended:
            found.violation += await _alone(found, again)

    async def play() -> None:
        async with open_system() as system:
            planned.extend(sorted(system.traits.commands))
            classes.traits = system.traits
            try:
                await stress(system, folder, rounds=rounds, seed=seed, progress=progress, report=found)
                if found.violation is None and not found.ended and system.audit is not None:
                    found.damage = found.violation = await asyncio.to_thread(system.audit)
            finally:
                printed = system.printed()
                found.violation = found.violation and with_output(found.violation, printed)
                found.undecided = found.undecided and with_output(found.undecided, printed)

    def result() -> CheckResult:
        inputs = classes.as_json(found.inputs)
        details = {"seed": seed, "histories": str(folder), "inputs": inputs}
        return sum_up(name, found, planned, time.monotonic() - started, details)

    with violation_kept(result):
        asyncio.run(run())
        return result()


def sum_up(
    name: str, found: StressReport, planned: Sequence[str], seconds: float, details: Mapping[str, Any]
) -> CheckResult:
    """The result of all rounds of stress, planned or made."""
    verdict: Verdict = "holds"
    if found.undecided is not None:
        verdict = "no verdict"
    if found.violation is not None:
        verdict = "violated"
    return CheckResult(
        name=f"stress: {name}",
        kind="linearizability",
        cases=found.operations,
        verdict=verdict,
        seconds=seconds,
        details={
            **details,
            "rounds": found.rounds,
            "outcomes": dict(sorted(found.outcomes.items())),
            "exercised": edge_counts(found.exercised),
            "violation": None if found.violation is None else _last_round(found),
            **http_details(found.http),
        },
        counterexample=with_http(found.violation, found.http) if found.violation else found.undecided,
        timelines=[*http_drawings(found.http, f"a round of stress: {name}"), *found.drawings],
        reach=commands_reached(planned, found.outcomes),
    )


async def _alone(found: StressReport, again: Callable[[int, int], Awaitable[StressReport]]) -> str:
    """Whether the last round fails alone, on a service just started; if not, what was before it."""
    last = found.rounds - 1
    for attempt in range(_TRIES_ALONE):
        seen = await again(last, attempt)
        if seen.violation is not None:
            return f"\n\nAlone, on a service that was just started, the round fails too: {seen.histories[0]}"
    histories = "\n  ".join(map(str, found.histories))
    return (
        f"\n\nAlone, on a service that was just started, the round did not fail in {_TRIES_ALONE} tries."
        f" It may need luck, or the rounds before it; their histories, in this order:\n  {histories}"
    )


def _last_round(found: StressReport) -> dict[str, Any]:
    """The rounds and seconds up to the violation, and the operations of the history that shows it."""
    return {"rounds": found.rounds, "seconds": round(found.seconds, 3), "operations": found.wrong}
