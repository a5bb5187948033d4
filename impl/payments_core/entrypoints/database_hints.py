"""What `serve` prints of its database: its address without the password, and two commands to look at it."""

import shlex
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_core.entrypoints.called import command_line

_ADDRESS = ("user", "host", "port", "dbname")


def ways_to_look(dsn: str, password_file: Path | None = None, psql: str = "psql") -> str:
    """The database's address, and the commands that show it and audit it. No password is among them.

    Args:
        dsn: the database.
        password_file: holds its password; without it, the reader has the database in DATABASE_URL.
        psql: the program to look at it.
    """
    parts = conninfo_to_dict(dsn)
    address = make_conninfo("", **{each: parts[each] for each in _ADDRESS if each in parts})
    if password_file is None:
        before, database = "", '"$DATABASE_URL"'
    else:
        before, database = f'PGPASSWORD="$(cat {shlex.quote(str(password_file))})" ', shlex.quote(address)
    return (
        f"database {address or 'that the PG… variables name'}; to look at it:\n"
        f"  {before}{shlex.quote(psql)} {database}\n"
        f"  {before}{command_line('audit', program='payments-verify')} {database}"
    )
