"""The database whose statements are steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pgweave.gate import Gate
from pgweave.scheduler.monitor import Monitor
from pgweave.scheduler.turns import Turns
from pgweave.sql.catalog import Catalog
from pgweave.sql.footprints import is_scheduling_point


@dataclass(frozen=True)
class GatedDatabase:
    """A database behind a gate, which holds from now on what is a step where there is this catalog.

    Attributes:
        gate: where the statements of processes appear.
        monitor: says who waits for a lock.
        catalog: the schema, for footprints.
        turns: keeps waiting server processes in their order.
    """

    gate: Gate
    monitor: Monitor
    catalog: Catalog
    turns: Turns

    def __post_init__(self) -> None:
        self.gate.is_scheduling_point = partial(is_scheduling_point, catalog=self.catalog)
