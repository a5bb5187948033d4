"""What `serve` prints of its database: its address without the password, and two commands to look at it."""

import shlex
import shutil
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.entrypoints.called import command_line
from payments_core.infrastructure.embedded import EmbeddedPostgresError
from payments_core.infrastructure.embedded.binaries import find_binaries

_ADDRESS = ("user", "host", "port", "dbname")


def ways_to_look(dsn: str, password_file: Path | None = None) -> str:
    """The database's address, and the commands that show it and audit it. No password is among them.

    Args:
        dsn: the database.
        password_file: holds its password; without it, the reader has the database in DATABASE_URL.
    """
    parts = conninfo_to_dict(dsn)
    address = make_conninfo("", **{each: parts[each] for each in _ADDRESS if each in parts})
    if password_file is None:
        before, database = "", '"$DATABASE_URL"'
    else:
        before, database = f'PGPASSWORD="$(cat {shlex.quote(str(password_file))})" ', shlex.quote(address)
    return (
        f"database {address or 'that the PG… variables name'}; to look at it:\n"
        f"  {before}{_psql()} {database}\n"
        f"  {before}{command_line('audit', program='payments-verify')} {database}"
    )


def _psql() -> str:
    """The client of this machine, or the embedded server's."""
    if shutil.which("psql"):
        return "psql"
    try:
        return shlex.quote(str(find_binaries() / "psql"))
    except EmbeddedPostgresError:
        return "psql"
