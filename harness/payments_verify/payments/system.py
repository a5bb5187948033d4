"""What the harness needs of a system under test: clients, a hand on its clock, and a way to run its sweep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from payments_verify.payments.observations import Sender
from payments_verify.payments.racing import Hands
from payments_verify.payments.traits import EVERYTHING, Traits
from payments_verify.scheduler import GatedDatabase, Limits


class SweepError(RuntimeError):
    """The sweep of somebody else's service cannot be run as the harness was told; the message says how."""


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
    """

    name: str
    clients: tuple[Sender, ...]
    set_clock: Callable[[int], Coroutine[Any, Any, object]]
    sweep: Callable[[], Coroutine[Any, Any, object]] | None
    hold: Callable[[str], AbstractAsyncContextManager[object]] | None = None
    traits: Traits = EVERYTHING
    is_new: bool = False


@dataclass(frozen=True)
class GatedService:
    """A service whose steps can be held back.

    Attributes:
        name: what it is, for people.
        hands: what actors act with.
        limits: how long a run waits.
        database: where its statements appear as steps; ``None`` if it stops of itself before each step.
    """

    name: str
    hands: Hands
    limits: Limits
    database: GatedDatabase | None = None
