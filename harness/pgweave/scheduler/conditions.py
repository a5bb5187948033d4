"""What a run is given: how long to wait, and what is particular to it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from pgweave.gate import Fault
from pgweave.scheduler.polling import LOOKS


@dataclass(frozen=True)
class Limits:
    """How long a run waits.

    Attributes:
        step: seconds for a process to come to rest; past it the run fails.
        stall: how often a process that waits for nothing in the database is looked at before it counts as
            waiting inside the service: every 2 ms with a gate, at each turn of the event loop without. Looks
            are counted, not time: a service that computes for long is not waiting.
        left: how often, every 2 ms, a connection that an ended process has left in a transaction is looked at
            before it counts as left for good. A pool may end the transaction after the answer.
        steps: how many steps a run may have.
    """

    step: float = 10.0
    stall: int = 1_000
    left: int = 2_500
    steps: int = 5_000


@dataclass(frozen=True)
class Conditions:
    """What is particular to a run.

    Attributes:
        names: for ids that are new in each run, those that footprints have in their place. So a statement has
            the same footprint in each run, and is analysed once.
        start_is_read: whether some statement asks when its transaction began; then ``BEGIN`` reads the clock.
        faults: what goes wrong at which statement: by process, and the statement's number from 0.
        looks: how many rounds of the same statements with the same answers are a poll.
    """

    names: Mapping[Hashable, Hashable] = field(default_factory=dict)
    start_is_read: bool = False
    faults: Mapping[tuple[int, int], Fault] = field(default_factory=dict)
    looks: int = LOOKS
