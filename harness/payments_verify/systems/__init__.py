"""Each way to make a service under test: in memory, in process, by a command, at a URL, behind a gate.

Only these, and the bridge of the equivalence check, import ``payments_core``.
"""

from payments_verify.systems.api_process import ApiProcess, make_token
from payments_verify.systems.cluster import SERVICE_LOGIN, Cluster, Connection
from payments_verify.systems.database import on_new_database, prepared_database
from payments_verify.systems.empty_databases import empty_databases
from payments_verify.systems.examinations import examination_at, examination_of
from payments_verify.systems.gated import (
    EXPLORING,
    OWN_SWEEPER,
    gated,
    gated_on_new_database,
    gated_service,
    gated_side_by_side,
)
from payments_verify.systems.gated_memory import IN_MEMORY, gated_in_memory
from payments_verify.systems.in_process import expire_batch, in_memory, in_process, sweep_by_itself
from payments_verify.systems.server import SWEEP_EVERY_S, ServerError, servers
from payments_verify.systems.started import service_at, settle_clock, started_service
from payments_verify.systems.workers import MakeProgram, local_processes
from pgweave.embedded import EmbeddedPostgresError
from pgweave.service.command import CommandError

__all__ = [
    "EXPLORING",
    "IN_MEMORY",
    "OWN_SWEEPER",
    "SERVICE_LOGIN",
    "SWEEP_EVERY_S",
    "ApiProcess",
    "Cluster",
    "CommandError",
    "Connection",
    "EmbeddedPostgresError",
    "MakeProgram",
    "ServerError",
    "empty_databases",
    "examination_at",
    "examination_of",
    "expire_batch",
    "gated",
    "gated_in_memory",
    "gated_on_new_database",
    "gated_service",
    "gated_side_by_side",
    "in_memory",
    "in_process",
    "local_processes",
    "make_token",
    "on_new_database",
    "prepared_database",
    "servers",
    "service_at",
    "settle_clock",
    "started_service",
    "sweep_by_itself",
]
