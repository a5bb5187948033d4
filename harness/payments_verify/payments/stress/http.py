"""What of a round of stress shows a violation, as HTTP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from payments_verify.payments.observed.http_steps import HttpRun, HttpStep, clock_step, in_http
from payments_verify.payments.service.under_test import ServiceUnderTest
from pgweave.history.attempt import Attempt
from pgweave.history.operations import Operation

Steps = Mapping[int, Sequence[HttpStep]]
"""What each process of a round sent, in its order."""


def refuted_http(
    attempt: Attempt, operations: Sequence[Operation], steps: Steps, service: ServiceUnderTest
) -> HttpRun:
    """The operations of a longest linearizable prefix, and those of which none can come next.

    Args:
        attempt: the attempt to linearize the round's history.
        operations: the round's.
        steps: what was sent.
        service: to whom.
    """
    by_place = {operation.called: operation for operation in operations}
    sent = _by_place(operations, steps)
    expected = {attempt.calls[each.call].called: each.expected for each in attempt.blocked}
    shown: list[HttpStep] = []
    for place in sorted({*(attempt.calls[number].called for number in attempt.order), *expected}):
        step, operation = sent.get(place), by_place[place]
        asked: Any = operation.value
        if step is None and operation.f == "clock":
            step = clock_step(asked["now"], (operation.called_ns or 0) / 1e9)
        if step is not None and place in expected:
            wanted = in_http(service.expected_http, operation.f, expected[place])
            step = replace(step, is_wrong=True, expected=wanted)
        if step is not None:
            shown.append(step)
    return service.http_run(shown)


def unanswered_http(steps: Steps, service: ServiceUnderTest) -> HttpRun:
    """What was sent up to the first request that got no definite answer, of the same payment."""
    every = sorted((each for sent in steps.values() for each in sent), key=lambda step: step.began)
    wrong = next((each for each in every if each.is_unanswered), None)
    if wrong is None:
        return HttpRun()
    shown = [
        replace(each, is_wrong=each is wrong)
        for each in every
        if each.payment == wrong.payment and each.began <= wrong.began
    ]
    return service.http_run(shown)


def _by_place(operations: Sequence[Operation], steps: Steps) -> Mapping[int, HttpStep]:
    """What was sent for each operation, by the place of its invocation."""
    of_process: defaultdict[int, list[int]] = defaultdict(list)
    for operation in operations:
        of_process[operation.process].append(operation.called)
    return {
        place: step
        for process, places in of_process.items()
        for place, step in zip(sorted(places), steps.get(process, ()), strict=False)
    }
