"""What no command may print of its settings: secrets, wherever in them they stand, however it ends."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_AROUND, _LONG = 100, 12
_TEXT = f"s{uuid4().hex}"
_SECRET = re.compile(rf"{_TEXT}\.(\w+)")
_HIDDEN = tuple(each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar == b"*")
"""What libpq says is not to be shown: passwords of all kinds."""
ENVIRONMENT: Mapping[str, str] = {"PGPASSWORD": f"{_TEXT}.PGPASSWORD"}


def secret(name: str) -> str:
    """A text that stands nowhere but in the setting of this name, or the part of one."""
    return f"{_TEXT}.{name}"


def with_secrets(dsn: str, *, as_url: bool) -> str:
    """A connection string with each secret that it may have; one that has some already, or is none, as it is.

    Args:
        dsn: it.
        as_url: whether to write it as a URL, or as ``key=value``.
    """
    if _TEXT in dsn or not (parts := _parts(dsn)):
        return dsn
    whole = {**{each: secret(each) for each in _HIDDEN}, **parts}
    return f"postgresql://?{urlencode(whole, quote_via=quote)}" if as_url else make_conninfo("", **whole)


def password_in(dsn: str) -> str:
    """The password in a connection string; empty if there is none."""
    return str(_parts(dsn).get("password", ""))


def _parts(dsn: str) -> Mapping[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except ProgrammingError:
        return {}


def printed_secret(arguments: Sequence[str], printed: str, known: Collection[str]) -> str | None:
    """Which secret a command has printed, if it has.

    Args:
        arguments: the command.
        printed: all that it has printed.
        known: more secrets: what a database, or a client, really has.
    """
    found = _SECRET.search(printed)
    looked_for = (each for each in known if len(each) >= _LONG)  # others may stand there by chance
    at = found.start() if found else max(map(printed.find, looked_for), default=-1)
    if at < 0:
        return None
    what = found[1] if found else "password, or a token, that is in use"
    shown = printed[max(0, at - _AROUND) : at + _AROUND]
    return f"I11: payments-core {' '.join(arguments)} prints of its settings a secret ({what}): … {shown} …"
