"""The database whose statements are steps."""

from __future__ import annotations

from dataclasses import dataclass

from pgweave.gate import Gate
from pgweave.scheduler.monitor import Monitor
from pgweave.scheduler.turns import Turns
from pgweave.sql.catalog import Catalog


@dataclass(frozen=True)
class GatedDatabase:
    """A database behind a gate.

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
