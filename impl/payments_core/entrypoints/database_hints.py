"""What `serve` prints of its database: its address without the password, and two commands to look at it."""

import shlex
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from payments_core.entrypoints.called import command_line
from payments_core.infrastructure.embedded import EmbeddedPostgresError
from payments_core.infrastructure.embedded.binaries import find_binaries


def without_password(url: str) -> str:
    """The URL of a database, without its password."""
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}@{address}").geturl()


def ways_to_look(dsn: str, password_file: Path) -> str:
    """The database's address, and the commands that show it and audit it.

    Args:
        dsn: the database.
        password_file: holds its password.
    """
    url = without_password(dsn)
    password = f'PGPASSWORD="$(cat {shlex.quote(str(password_file))})" '
    return (
        f"database {url}; to look at it:\n"
        f"  {password}{_psql()} {shlex.quote(url)}\n"
        f"  {password}{command_line('audit', url, program='payments-verify')}"
    )


def _psql() -> str:
    """The client of this machine, or the embedded server's."""
    if shutil.which("psql"):
        return "psql"
    try:
        return shlex.quote(str(find_binaries() / "psql"))
    except EmbeddedPostgresError:
        return "psql"
