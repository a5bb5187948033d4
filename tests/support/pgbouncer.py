"""PgBouncer in front of a server, as its own process, which ends with the block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgweave.embedded.binaries import server_account
from pgweave.loopback import free_port
from tests.support.postgres import reachable_folder
from tests.support.proxies import listening
from tests.support.tools import require_tool


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
        with listening(
            [program, str(folder / "ini")],
            port,
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
        ):
            yield make_conninfo(dsn, port=port)
