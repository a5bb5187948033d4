"""Stress: many clients at once on few payments and few keys, every request recorded, every history checked.

Each round has new payments. Its clients are released together, send a mix of commands drawn from a seed,
and repeat captures with the same key as clients do that do not know whether they were heard. Meanwhile the
database's clock is moved on, the sweeper runs, and in some rounds a session outside the service holds a
payment's lock for a while, so that requests wait for it while time passes. A round's history is saved
before it is checked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from payments_verify.payments.inputs.reach import classes_of_parts
from payments_verify.payments.service.under_test import (
    ServiceUnderTest,
)
from payments_verify.payments.specification.refuted_invariants import not_linearizable
from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.specification.transitions import edges_of_parts
from payments_verify.payments.stress.http import refuted_http, unanswered_http
from payments_verify.payments.stress.inputs import RoundInputs, inputs_of_round
from payments_verify.payments.stress.round import LIGHT, Load, Round, StressReport
from payments_verify.payments.told.drawings import refuted
from pgweave.history.attempt import attempt_of
from pgweave.history.explain import explain
from pgweave.history.linearizability import check
from pgweave.history.recorder import Recorder
from pgweave.visible import counted

_CHECK_BUDGET_S = 60.0
_LIGHT_EVERY = 3
_ROUNDS_TO_A_RACE_OF_LISTS = 20


async def stress(
    system: ServiceUnderTest,
    folder: Path,
    *,
    rounds: int,
    seed: int,
    first: int = 0,
    load: Load | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    report: StressReport | None = None,
) -> StressReport:
    """Play ``rounds`` rounds against a system, and stop at the first violation.

    Args:
        system: the running service; its clock must be free to move.
        folder: where the histories go, a file for each round; it exists.
        rounds: how many rounds to play at most.
        seed: draws the commands; what races is the machine's to say.
        first: the number of the first, which draws its commands too.
        load: the shape of a round; every third round of several processes a light one if not given.
        progress: is told of each finished round.
        report: where it is noted; a new one if not given.
    """
    report = report or StressReport()
    started = time.perf_counter()
    for number in range(first, first + rounds):
        path = folder / f"stress-{seed}-{number:04}.jsonl"
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - draws a workload, keeps no secret
        inputs = inputs_of_round(number, rng, system.traits)
        is_light = number % _LIGHT_EVERY == 1 and len(system.clients) > 1
        await _round(system, path, rng, inputs, load or (LIGHT if is_light else Load()), report)
        await _look_beside(system, number, report)
        report.rounds += 1
        report.seconds = time.perf_counter() - started
        if progress is not None:
            progress(report.rounds, rounds, f"rounds, {counted(report.operations, 'operation')}")
        if report.violation is not None or report.ended:
            break
    return report


async def _look_beside(system: ServiceUnderTest, number: int, report: StressReport) -> None:
    """See that counters are what was answered, and now and then that lists and expiry are right."""
    if system.surface is None or report.violation is not None or report.ended:
        return
    if number % _ROUNDS_TO_A_RACE_OF_LISTS == 0:
        report.violation = await system.surface.race()
        if report.violation is None and system.traits.expires_within_s is not None:
            within_s = system.traits.expires_within_s
            report.violation = await system.surface.expiry(system.set_clock, system.row_held, within_s)
    report.violation = report.violation or await system.surface.counters()


async def _round(
    system: ServiceUnderTest,
    path: Path,
    rng: random.Random,
    inputs: RoundInputs,
    load: Load,
    report: StressReport,
) -> None:
    report.histories.append(path)
    with Recorder(path, spec=Payments.name) as recorder:
        played = Round(system, recorder, rng, inputs, report)
        await played.play(load)
        operations = recorder.history().operations
    report.operations += len(operations)
    payments = Payments(system.traits.max_stored_refusals)
    result = check(payments, operations, budget_seconds=_CHECK_BUDGET_S)
    report.exercised.update(edges_of_parts(result.parts))
    report.inputs.update(classes_of_parts(result.parts))
    if result.refuted is not None:
        unanswered = "" if report.violation is None else f"\n\n{report.violation}"
        report.violation = f"{path}: not linearizable{unanswered}"  # whatever keeps it from being explained
        report.wrong = len(result.refuted.operations)
        report.drawings.append(refuted(str(path), result.refuted, operations))
        attempt = attempt_of(payments, result.refuted)
        report.http = refuted_http(attempt, operations, played.steps, system)
        shown = explain(attempt)
        broken = not_linearizable(result.refuted.operations)
        report.violation = f"{path}: {broken}\n{shown}{unanswered}"
    elif report.violation is not None:
        report.violation += f"\nin {path}"
        report.http = unanswered_http(played.steps, system)
        report.wrong = len(operations)
    elif result.verdict == "no verdict":
        report.undecided = f"{path}: {result.reason}"
