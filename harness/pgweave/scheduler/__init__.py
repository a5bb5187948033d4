"""The scheduler: runs concurrent processes one step at a time, in an order that somebody else chooses.

``process`` is one client or session, ``database`` where its statements appear, ``monitor`` asks PostgreSQL
who waits for a lock, ``run`` performs a schedule. A step ends when its process has come to its next step,
waits for a lock, or is done.
"""

from pgweave.scheduler.conditions import Conditions, Limits
from pgweave.scheduler.database import GatedDatabase
from pgweave.scheduler.monitor import Monitor
from pgweave.scheduler.polling import LOOKS, MOST_LOOKS
from pgweave.scheduler.process import Body, Process, ScheduledOperation
from pgweave.scheduler.run import Run
from pgweave.scheduler.turns import Turns

__all__ = [
    "LOOKS",
    "MOST_LOOKS",
    "Body",
    "Conditions",
    "GatedDatabase",
    "Limits",
    "Monitor",
    "Process",
    "Run",
    "ScheduledOperation",
    "Turns",
]
