"""A database of the service's own, for who names none. Another package brings it, found by an entry point."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "payments_core.own_databases"
"""The group of entry points: ``kept`` and ``demonstration``, each an `Open`."""


@dataclass(frozen=True)
class OwnDatabase:
    """A PostgreSQL that was started, with the service's schema in it.

    Attributes:
        dsn: of its owner.
        password_file: holds its password.
        psql: the program to look at it.
        told: the lines that say what it is.
        factory: what makes the application that is served on it, as in ``module:function``.
    """

    dsn: str
    password_file: Path
    psql: str
    told: Sequence[str]
    factory: str


class OwnDatabaseError(RuntimeError):
    """It cannot be started; the message says why and what to do."""


Open = Callable[[Path], AbstractContextManager[OwnDatabase]]
"""Starts a database for as long as the block runs; its data is in the folder, where it is kept."""


def find(name: str) -> Open:
    """What opens the database of this name.

    Raises:
        OwnDatabaseError: nothing that is installed does.
    """
    try:
        for each in entry_points(group=GROUP, name=name):
            found: Open = each.load()
            return found
    except ModuleNotFoundError:
        pass  # its libraries are not installed, or this is a part of a distribution that names it
    raise OwnDatabaseError(
        "what starts a PostgreSQL for the service is not installed: pip install 'CHECKOUT[embedded]', with "
        "the folder of its sources, or set DATABASE_URL, as in postgresql://user:password@host:5432/payments"
    )
