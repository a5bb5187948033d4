"""A PostgreSQL server that belongs to this process: for tests, trials and small installations.

It lives in one folder: `data` (the cluster), `password` (mode 0600), `postgres.log`, `lock`, `run` (its
socket). It listens on loopback only and asks for a generated password (SCRAM-SHA-256), so that other users of
the machine cannot connect.

The server does not outlive the process that started it, however that process ends: a watchdog holds the
reading end of a pipe whose other end only the process has, and asks for a fast shutdown when the pipe closes.
Not covered: a watchdog that is itself killed, and a child forked (not executed) from the process, which keeps
the pipe open until it ends too.
"""

from pgweave.embedded.binaries import EmbeddedPostgresError
from pgweave.embedded.server import EmbeddedPostgres, temporary_postgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "temporary_postgres"]
