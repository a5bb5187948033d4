"""Commands on a given database, whose server libpq's variables are about."""

from __future__ import annotations

import pytest

from tests.support.libpq_variables import FOREIGN
from tests.support.postgres import Database
from tests.support.processes import run


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_variable_with_which_a_given_database_cannot_be_reached(database: Database, name: str) -> None:
    """Where `DATABASE_URL` names a server, libpq's variables are the operator's, and errors say so."""
    for command in (["migrate"], ["sweep"]):
        ended = run(command, {"DATABASE_URL": database.dsn, name: FOREIGN[name]})
        assert ended.returncode in {0, 2}
        assert "Traceback" not in ended.stderr
