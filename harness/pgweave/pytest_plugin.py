"""Explorations as tests, with a database of their own: the fixture ``pgweave``.

    def test_no_booking_is_lost(pgweave):
        pgweave.explore(setup=ten_seats, clients=[book, book], check=two_are_gone).assert_holds()

A failure shows the schedule, and names the file that `pgweave.replay` runs again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgweave.databases import Server
    from pgweave.discovering import Discovery
    from pgweave.result import Result

_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("pgweave", "every order of the SQL of concurrent clients")
    group.addoption(
        "--pgweave-server",
        metavar="DSN",
        help="make the databases on this server; a PostgreSQL is started if not given",
    )
    group.addoption(
        "--pgweave-output", metavar="DIR", default=".pgweave", help="where wrong schedules are kept"
    )


@dataclass(frozen=True)
class Explorer:
    """Explores and replays on one database.

    Attributes:
        dsn: the database, empty at the beginning of the test.
        file: where a wrong schedule is kept.
    """

    dsn: str = field(repr=False)  # it may have a password, and pytest shows it
    file: Path

    def explore(self, **scenario: Any) -> Result:  # noqa: ANN401 - the arguments of pgweave.explore
        """Explore, see `pgweave.explore`; a wrong schedule is kept in the file."""
        from pgweave.api import explore  # noqa: PLC0415 - a suite that has no such test loads nothing

        result = explore(self.dsn, **scenario)
        return result.kept_in(self._file_in_a_folder()) if result.problem else result

    def discover(self, **scenario: Any) -> Discovery:  # noqa: ANN401 - the arguments of pgweave.discover
        """Discover races and explore them, see `pgweave.discover`; a wrong schedule is kept in the file."""
        from pgweave.api import discover  # noqa: PLC0415 - as above

        found = discover(self.dsn, **scenario)
        return found if found.violated is None else found.kept_in(self._file_in_a_folder())

    def replay(self, path: Path | str | None = None, **scenario: Any) -> Result:  # noqa: ANN401 - as above
        """Run a schedule again, see `pgweave.replay`; the one that this test has kept, if none is named."""
        from pgweave.api import replay  # noqa: PLC0415 - as above

        return replay(path or self.file, self.dsn, **scenario)

    def _file_in_a_folder(self) -> Path:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return self.file


@pytest.fixture(scope="session")
def pgweave_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    """The server on which each test has its database."""
    from pgweave.databases import GivenServer, started_server  # noqa: PLC0415 - as above
    from pgweave.scenario import UseError  # noqa: PLC0415 - as above

    given = pytestconfig.getoption("--pgweave-server")
    if given is not None:
        yield GivenServer(given)
        return
    with ExitStack() as stack:
        try:
            server = stack.enter_context(started_server())
        except UseError as error:
            raise pytest.UsageError(f"{error}; for tests, --pgweave-server names it") from None
        yield server


@pytest.fixture
def pgweave(request: pytest.FixtureRequest, pgweave_server: Server) -> Iterator[Explorer]:
    """Explores on a database that is the test's own."""
    name = _NOT_IN_A_NAME.sub("-", request.node.nodeid).strip("-")
    output = Path(request.config.getoption("--pgweave-output"))
    folder = output if output.is_absolute() else request.config.rootpath / output
    database = f"pgweave_{os.getpid()}"
    try:
        yield Explorer(pgweave_server.create_database(database), folder / f"{name}.json")
    finally:
        pgweave_server.drop_database(database)
