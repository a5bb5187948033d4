"""Every fault, by name."""

from __future__ import annotations

from collections.abc import Mapping

from payments_verify.nemesis import (
    api_faults,
    client_faults,
    clock_faults,
    database_faults,
    disk_faults,
    error_faults,
    failover,
    network_faults,
)
from payments_verify.nemesis.fault import Fault

_ALL: tuple[type[Fault], ...] = (
    network_faults.CutBefore,
    network_faults.HalfSent,
    network_faults.LostCommit,
    network_faults.CutAll,
    network_faults.Refused,
    network_faults.Outage,
    network_faults.Partition,
    network_faults.BlackHole,
    network_faults.Stall,
    network_faults.Delay,
    database_faults.Terminated,
    database_faults.Cancelled,
    error_faults.SerializationFailure,
    error_faults.Deadlock,
    error_faults.StatementTimeout,
    error_faults.TooManyConnections,
    database_faults.FullPool,
    database_faults.ImmediateStop,
    database_faults.FastRestart,
    disk_faults.DiskFull,
    disk_faults.LogFull,
    failover.Failover,
    failover.FailoverBehind,
    api_faults.Killed,
    api_faults.AllKilled,
    api_faults.ToldToEnd,
    api_faults.Suspended,
    clock_faults.ClockForward,
    clock_faults.ClockBack,
    api_faults.HostClockOff,
    client_faults.Disconnecting,
    client_faults.TooEarly,
)
FAULTS: Mapping[str, type[Fault]] = {fault.name: fault for fault in _ALL}
"""Every fault by its name, in the order of the reports."""

SLICE = (
    "commit unheard",
    "half sent",
    "terminated",
    "40001",
    "immediate stop",
    "API killed",
    "clock back",
    "early retries",
)
"""Those of the main job: quick ones, one of each family, which need no privilege."""
