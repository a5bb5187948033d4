"""Connection strings as people give them. They hold a password: no error repeats what stands in them."""

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

_PORTS = re.compile(r"[0-9]*(?:,[0-9]*)*")
_URL = re.compile(r"postgres(?:ql)?://")


class DsnError(ValueError):
    """The text is no connection string."""

    def __init__(self) -> None:
        super().__init__(
            "no connection string of PostgreSQL, as postgresql://user:password@host:5432/payments or host=… "
            "user=… dbname=…; in a URL, the password is percent-encoded, with %2F for / and %40 for @"
        )


def require_dsn(dsn: str) -> None:
    """Require that libpq reads a connection string as it was meant.

    It takes a password with ``@`` or ``/`` in a URL for a host, a port or a database, which its errors name.

    Raises:
        DsnError: it does not, or perhaps not.
    """
    if not dsn.strip():  # libpq would look for a server of its own choice
        raise DsnError
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise DsnError from None  # psycopg's error repeats the string
    except UnicodeError:
        raise DsnError from None
    host, port = str(parts.get("host") or ""), str(parts.get("port") or "")
    path = dsn.partition("://")[2].partition("?")[0].partition("/")[2] if _URL.match(dsn) else ""
    if "@" in host or "@" in path or not _PORTS.fullmatch(port):
        raise DsnError
