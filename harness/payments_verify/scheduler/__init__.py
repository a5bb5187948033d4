"""The scheduler: runs concurrent processes one step at a time, in an order that somebody else chooses.

``process`` is one client or session, ``database`` where its statements appear, ``monitor`` asks PostgreSQL
who waits for a lock, ``run`` performs a schedule. A step ends when its process has come to its next step,
waits for a lock, or is done.
"""

from payments_verify.scheduler.conditions import Conditions, Limits
from payments_verify.scheduler.database import GatedDatabase
from payments_verify.scheduler.monitor import Monitor
from payments_verify.scheduler.process import Body, Operation, Process
from payments_verify.scheduler.run import Run
from payments_verify.scheduler.turns import Turns

__all__ = [
    "Body",
    "Conditions",
    "GatedDatabase",
    "Limits",
    "Monitor",
    "Operation",
    "Process",
    "Run",
    "Turns",
]
