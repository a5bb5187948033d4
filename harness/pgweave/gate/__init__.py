"""The gate: a proxy for PostgreSQL's wire protocol that holds each statement until it is released.

A service connects to it instead of to its database, and is not changed: only its ``DATABASE_URL`` differs.
``wire`` reads messages, ``units`` groups them, ``features`` says how they are used, ``faults`` what can go
wrong, ``altered`` what a server may say instead, ``session`` is one connection, ``proxy`` listens.
"""

from pgweave.gate.altered import NotReplicated, Reported
from pgweave.gate.faults import OF_POSTGRESQL, Fault
from pgweave.gate.features import Feature
from pgweave.gate.proxy import Gate, GateObserver
from pgweave.gate.session import Session
from pgweave.gate.statement import HeldStatement
from pgweave.gate.units import Unit
from pgweave.gate.wire import WireError

__all__ = [
    "OF_POSTGRESQL",
    "Fault",
    "Feature",
    "Gate",
    "GateObserver",
    "HeldStatement",
    "NotReplicated",
    "Reported",
    "Session",
    "Unit",
    "WireError",
]
