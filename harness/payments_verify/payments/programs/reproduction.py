"""A program that found a mismatch, run again on a service that has just been started.

All programs of a run share one service. The smallest program may fail only after what earlier programs have
asked. Then that is a part of the counterexample, and is told with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeAlias, TypeVar

from payments_verify.payments.observed.http_steps import HttpRun
from payments_verify.payments.specification.oracle import MismatchError

RETELLING_LIMIT_S = 60.0
"""How long what came before is made smaller, in seconds."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Call:
    """A step of a program: a method of the machine, and its arguments; the payment is an argument's name.

    Attributes:
        method: the method.
        arguments: its arguments.
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def payment(self) -> str | None:
        """The payment that it is of."""
        return self.arguments.get("payment")

    @property
    def creates(self) -> bool:
        """Whether it creates its payment."""
        return self.method == "perform" and self.arguments["f"] == "create"


Program: TypeAlias = Sequence[Call]
Rerun: TypeAlias = Callable[[Program], MismatchError | None]


def as_text(calls: Program) -> str:
    """Calls as JSON. Their amounts may be any number, as large as it likes."""
    return json.dumps([{"method": call.method, "arguments": dict(call.arguments)} for call in calls])


def reproduce(
    found: MismatchError, earlier: Sequence[Program], program: Program, rerun: Rerun
) -> MismatchError:
    """Find what has to be run for a mismatch to be seen again, and tell it with the mismatch.

    Args:
        found: the mismatch.
        earlier: the programs before the one that found it.
        program: that one.
        rerun: runs calls on a service that was just started, or at least with new ids and keys.
    """
    if rerun(program) is not None:
        if found.http:
            found.http = _http_without_looks(program, rerun) or found.http
        return found
    told = "Alone, on a service that was just started, the smallest program does not fail."
    whole = [*earlier, program]
    seen = rerun(_joined(whole, whole))
    if seen is None:
        found.add_note(f"{told} Nor does it after all the programs that were run before it, once more:")
        found.add_note("  " + "\n  ".join(found.commands))
        return found
    ends = time.monotonic() + RETELLING_LIMIT_S

    def fails(parts: Sequence[Program]) -> bool:
        nonlocal seen
        again = rerun(_joined([*parts, program], whole))
        seen = again or seen
        return again is not None

    programs = _smallest(earlier, fails, ends)
    _smallest([[call] for each in programs for call in each], fails, ends)
    seen.add_note(
        f"{told} It fails after what other programs have asked; this is what is left of them, and it:"
    )
    seen.add_note("  " + "\n  ".join(seen.commands))
    return seen


def _http_without_looks(program: Program, rerun: Rerun) -> HttpRun | None:
    """A mismatch as HTTP, without the looks after each command before it; ``None`` if it needs them."""
    *before, last = program
    again = rerun([*(call for call in before if call.arguments.get("is_step", True)), last])
    return None if again is None else again.http


def _joined(programs: Sequence[Program], whole: Sequence[Program]) -> list[Call]:
    """The calls of programs one after the other, without those on payments whose creation was left out."""
    somewhere = {call.payment for program in whole for call in program if call.creates}
    created: set[str | None] = {None}
    joined = []
    for program in programs:
        for call in program:
            if call.creates:
                created.add(call.payment)
            if call.payment in created or call.payment not in somewhere:
                joined.append(call)
    return joined


def _smallest(parts: Sequence[_T], fails: Callable[[Sequence[_T]], bool], ends: float) -> Sequence[_T]:
    """Few of the parts such that it still fails: delta debugging, until it is over or the time is."""
    pieces = 2
    while parts and time.monotonic() < ends:
        size = ceil(len(parts) / pieces)
        rests = ([*parts[:at], *parts[at + size :]] for at in range(0, len(parts), size))
        rest = next((rest for rest in rests if time.monotonic() < ends and fails(rest)), None)
        if rest is not None:
            parts, pieces = rest, max(pieces - 1, 2)
        elif size == 1:
            break
        else:
            pieces = min(len(parts), 2 * pieces)
    return parts
