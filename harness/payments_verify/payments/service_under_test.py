"""What the harness needs of a system under test: clients, a hand on its clock, and a way to run its sweep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from payments_verify.payments.actors import Hands
from payments_verify.payments.observations import Observation, Sender
from payments_verify.payments.traits import EVERYTHING, Traits
from pgweave.scheduler import GatedDatabase, Limits
from pgweave.service.end import End
from pgweave.visible import without_passwords

NO_ANSWER = "definite answer"
"""Stands in what is told of a request that was answered by nothing, by a 5xx, or by what cannot be read."""


class SweepError(RuntimeError):
    """The sweep of somebody else's service cannot be run as the harness was told; the message says how."""


class UnansweredError(RuntimeError):
    """A request has no definite answer; the message says which, and what was heard."""


class EndedError(UnansweredError):
    """It has none because the service has ended.

    Attributes:
        end: how.
    """

    def __init__(self, asked: str, end: End) -> None:
        self.end = end
        super().__init__(f"{asked} got no {NO_ANSWER}: {end}")


async def goes_on() -> End | None:
    """The end of a service of which the harness does not see whether it has ended: none."""
    return None


def prints_nothing() -> str:
    """What a service has printed that the harness does not see."""
    return ""


def with_output(told: str, printed: str) -> str:
    """What was wrong, with what the service itself said where it gave no definite answer: that hides why."""
    if NO_ANSWER not in told or not printed.strip():
        return told
    return (
        f"{told}\n\nthe last that the service printed:\n{indent(without_passwords(printed.rstrip()), '  ')}"
    )


@dataclass(frozen=True)
class System:
    """A running service.

    Attributes:
        name: what it is, for people.
        clients: one for each process that serves.
        set_clock: sets the clock by which it decides, in µs UTC; the clock then stands still.
        sweep: expires every payment that is due; ``None`` where the harness cannot.
        hold: takes a payment's lock from outside the service, and gives it back with nothing changed;
            ``None`` where the harness cannot.
        traits: what can be asked of it, and seen.
        is_new: whether nothing was asked of it before it was opened.
        end: how it has ended, if it has; asked when a request got no answer at all.
        printed: the end of its own output; empty where the harness does not have it.
    """

    name: str
    clients: tuple[Sender, ...]
    set_clock: Callable[[int], Coroutine[Any, Any, object]]
    sweep: Callable[[], Coroutine[Any, Any, object]] | None
    hold: Callable[[str], AbstractAsyncContextManager[object]] | None = None
    traits: Traits = EVERYTHING
    is_new: bool = False
    end: Callable[[], Coroutine[Any, Any, End | None]] = goes_on
    printed: Callable[[], str] = prints_nothing

    async def require_answered(self, asked: str, observed: Observation) -> None:
        """Require that a request has a definite answer.

        Args:
            asked: the request, for people.
            observed: what was heard.

        Raises:
            UnansweredError: it has none.
            EndedError: the service has ended.
        """
        if observed.kind != "unknown":
            return
        end = await self.end() if "status" not in observed.value else None
        if end is not None:
            raise EndedError(asked, end)
        raise UnansweredError(f"{asked} got no {NO_ANSWER}: {dict(observed.value)}")


@dataclass(frozen=True)
class GatedService:
    """A service whose steps can be held back.

    Attributes:
        name: what it is, for people.
        hands: what actors act with.
        limits: how long a run waits.
        database: where its statements appear as steps; ``None`` if it stops of itself before each step.
        printed: the end of its own output; empty where the harness does not have it.
    """

    name: str
    hands: Hands
    limits: Limits
    database: GatedDatabase | None = None
    printed: Callable[[], str] = prints_nothing
