"""A program that breaks a rule of the model, as data that a page draws: one command after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from payments_verify.model_checks.state_graph_rules import Transition, describe, describe_record
from pgweave.history.attempt import Attempt, Call, Candidate, Moment


def drawing(way: Sequence[Transition], last: str, answer: str, rule: str) -> Mapping[str, Any]:
    """The program.

    Args:
        way: what was done before the rule was broken.
        last: the command that breaks it.
        answer: what it was answered.
        rule: the rule, and how it is broken.
    """
    calls = [
        _call(number, describe(step).partition("\n")[0], step.done.outcome.name.lower(), number + 1)
        for number, step in enumerate(way)
    ]
    calls.append(_call(len(way), last, answer, None))
    states = ["no payment", *(describe_record(step.after) for step in way)]
    following = [Candidate(number, "", fits=True) for number in range(len(way))]
    following.append(Candidate(len(way), rule, fits=False))
    attempt = Attempt(
        spec="model",
        label="a shortest program",
        is_linearizable=False,
        answered=len(calls),
        explained=len(way),
        hidden=0,
        later=0,
        calls=tuple(calls),
        order=tuple(range(len(way))),
        moments=tuple(Moment(state, (each,)) for state, each in zip(states, following, strict=True)),
        standard="the rule that is broken",
    )
    return {"kind": "attempt", "title": "a shortest program", "attempt": msgspec.to_builtins(attempt)}


def _call(number: int, text: str, answer: str, place: int | None) -> Call:
    return Call(
        process=0,
        text=text,
        asked=text.partition(" -> ")[0],
        answered=answer,
        called=2 * number,
        returned=2 * number + 1,
        place=place,
    )
