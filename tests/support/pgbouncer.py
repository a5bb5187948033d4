"""PgBouncer in front of a server, as its own process, which ends with the block."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.infrastructure.embedded.binaries import server_account
from payments_core.infrastructure.embedded.process import free_port
from tests.support.postgres import reachable_folder
from tests.support.tools import require_tool

_START_LIMIT_S = 30.0


@contextmanager
def pgbouncer(dsn: str, mode: str, size: int = 5) -> Iterator[str]:
    """A connection URL that leads to the database of ``dsn`` through a pooler.

    Args:
        dsn: of the database, by TCP and with a password.
        mode: ``session`` or ``transaction``.
        size: how many sessions with the server it has at most.
    """
    program = require_tool("pgbouncer", purpose="the pooler")
    own = conninfo_to_dict(dsn)
    account = server_account()  # it refuses to run as root, as PostgreSQL does
    with reachable_folder() as folder:
        port = free_port()
        (folder / "users").write_text(f'"{own["user"]}" "{own["password"]}"\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={own['host']} port={own['port']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {folder / 'users'}\n"
            f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 500\n"
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, str(folder / "ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=account.uid if account.switch else None,
                group=account.gid if account.switch else None,
                extra_groups=[] if account.switch else None,
            )
        try:
            _await_listening(process, port, folder / "log")
            yield make_conninfo(dsn, port=port)
        finally:
            process.terminate()
            process.wait(_START_LIMIT_S)


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError(f"PgBouncer did not start:\n{log.read_text(errors='replace')}")
