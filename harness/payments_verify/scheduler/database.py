"""The database whose statements are steps."""

from __future__ import annotations

from dataclasses import dataclass

from payments_verify.gate import Gate
from payments_verify.scheduler.monitor import Monitor
from payments_verify.scheduler.turns import Turns
from payments_verify.sql.catalog import Catalog


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
