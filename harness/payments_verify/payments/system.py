"""What the harness needs of a system under test: clients, a hand on its clock, and a way to run its sweep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from payments_verify.gate import Gate
from payments_verify.payments.http_binding import PaymentsClient
from payments_verify.payments.racing import Hands
from payments_verify.scheduler import Limits, Monitor, Turns
from payments_verify.sql.catalog import Catalog


@dataclass(frozen=True)
class System:
    """A running service.

    Attributes:
        name: what it is, for people.
        clients: one for each process that serves.
        set_clock: sets the clock by which it decides, in µs UTC; the clock then stands still.
        sweep: expires every payment that is due.
        hold: takes a payment's lock from outside the service, and gives it back with nothing changed;
            ``None`` where the harness cannot.
    """

    name: str
    clients: tuple[PaymentsClient, ...]
    set_clock: Callable[[int], Coroutine[Any, Any, object]]
    sweep: Callable[[], Coroutine[Any, Any, object]]
    hold: Callable[[str], AbstractAsyncContextManager[object]] | None = None


@dataclass(frozen=True)
class GatedService:
    """A service whose statements go through a gate.

    Attributes:
        name: what it is, for people.
        hands: what actors act with.
        gate: the gate.
        monitor: says who waits for a lock.
        catalog: the schema.
        turns: keeps the server's waiting processes in their order.
        limits: how long a run waits.
    """

    name: str
    hands: Hands
    gate: Gate
    monitor: Monitor
    catalog: Catalog
    turns: Turns
    limits: Limits
