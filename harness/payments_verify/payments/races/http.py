"""A run of a race as HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from payments_verify.payments.observed.http_steps import HttpRun, HttpStep, in_http, step_of
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.result import RaceResult
from payments_verify.payments.service.under_test import ServiceUnderTest


def race_http(
    raced: RaceResult, actors: Sequence[str], violation: Violation, service: ServiceUnderTest
) -> HttpRun:
    """What was sent before the race, in it and after it, in the order of time.

    Args:
        raced: the run.
        actors: the actors' names.
        violation: what is wrong with it.
        service: to whom it was sent.
    """
    steps = [step_of("before", each.invocation, each.observation) for each in raced.before]
    begins = max((step.began for step in steps if step.exchanges), default=0.0)
    raced_steps: list[tuple[int, HttpStep]] = []
    for number, operation in enumerate(raced.operations):
        step = step_of(actors[operation.process], operation.value, operation.result)
        if number == violation.operation:
            step = _wrong(step, operation.value.f, violation, service)
        raced_steps.append((operation.first or 0, step))
    for _, step in sorted(raced_steps, key=lambda pair: pair[0]):
        # What is no request stands after what began before it.
        begins = max(begins, step.began) if step.exchanges else begins
        steps.append(step if step.exchanges else replace(step, noted=begins))
    for number, each in enumerate(raced.after):
        step = step_of("after", each.invocation, each.observation)
        steps.append(
            _wrong(step, each.invocation.f, violation, service) if number == violation.look else step
        )
    before = len(raced.before)
    return service.http_run((*steps[:before], *sorted(steps[before:], key=lambda step: step.began)))


def _wrong(step: HttpStep, f: str, violation: Violation, service: ServiceUnderTest) -> HttpStep:
    expected = violation.expected and in_http(service.expected_http, f, violation.expected)
    return replace(step, is_wrong=True, expected=expected or "")
