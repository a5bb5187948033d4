"""The server's life: start, stop, restart, and databases made in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from pgweave.embedded.binaries import (
    EmbeddedPostgresError,
    find_binaries,
    forget_libpq_variables,
    reachable_binaries,
    server_account,
    version_of,
)
from pgweave.embedded.folder import SUPERUSER, ServerFolder
from pgweave.embedded.process import (
    StopMode,
    await_ready,
    end,
    launch,
    listening,
)
from pgweave.loopback import HOST, free_port

_FORMER_SERVER_LIMIT_S = 20.0
_START_LIMIT_S = 900.0  # for what hangs: a recovery may take minutes, and so may a machine that is busy
_CONNECT_LIMIT_S = 10
_PORT_ATTEMPTS = 5
_OURS = frozenset(listening(0, Path()))


class EmbeddedPostgres:
    """One PostgreSQL server, started and stopped by this process. Usable as a context manager.

    Not for use by several threads at once.

    Args:
        folder: Where it lives; made if missing.
        bin_dir: Where `postgres` and `initdb` are; found if not given (see `find_binaries`).
        port: TCP port on loopback; a free one, kept over restarts, if not given.
        durable: Whether a commit survives a crash of the machine. False turns `fsync` and `full_page_writes`
            off, which is for tests only: a crash of the server alone still loses nothing.
        autovacuum: Whether autovacuum runs; off makes test schedules reproducible.
        settings: More server settings, as in `{"deadlock_timeout": "100ms"}`.
        start_limit_s: How long a start may take, crash recovery included, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bin_dir: Path | None = None,
        port: int | None = None,
        durable: bool = True,
        autovacuum: bool = True,
        settings: Mapping[str, str] | None = None,
        start_limit_s: float = _START_LIMIT_S,
    ) -> None:
        ours = _OURS & set(settings or ())
        if ours:
            raise EmbeddedPostgresError(
                f"these settings are the embedded server's own: {', '.join(sorted(ours))}"
            )
        self._folder = ServerFolder(folder.absolute(), server_account())
        self._bin_dir = bin_dir
        self._port = port
        self._start_limit_s = start_limit_s
        self._durable = durable
        self._settings = {
            "autovacuum": "on" if autovacuum else "off",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(settings or {}),
        }
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None
        self._version = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def version(self) -> str:
        """The server's version, as in `18.6`; empty before the first start."""
        return self._version

    @property
    def folder(self) -> Path:
        """The folder the server lives in."""
        return self._folder.path

    @property
    def password_file(self) -> Path:
        """Holds the superuser's password."""
        return self._folder.password_file

    @property
    def pid(self) -> int:
        """The process id of the running server (its postmaster).

        Raises:
            EmbeddedPostgresError: The server does not run.
        """
        if self._process is None:
            raise EmbeddedPostgresError("the embedded server does not run; start it first")
        return self._process.pid

    @property
    def port(self) -> int:
        """The TCP port on loopback.

        Raises:
            EmbeddedPostgresError: No port was given and the server was never started.
        """
        if self._port is None:
            raise EmbeddedPostgresError("the embedded server has no port yet; start it first")
        return self._port

    def dsn(self, database: str = "postgres", *, role: str | None = None, unix_socket: bool = False) -> str:
        """A connection URL for the superuser.

        Args:
            database: The database to connect to.
            role: The role that the session takes on, with that role's privileges only.
            unix_socket: Connect by the Unix socket (faster) instead of loopback TCP.

        Raises:
            EmbeddedPostgresError: The server was never started, or by socket: does not run.
        """
        options: dict[str, str] = {} if role is None else {"options": f"-c role={role}"}
        address = f"{HOST}:{self.port}"
        if unix_socket:
            address, options["port"] = "", str(self.port)
            options["host"] = str(self.socket_folder)
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        password = quote(self._folder.password(), safe="")
        return f"postgresql://{SUPERUSER}:{password}@{address}/{quote(database, safe='')}{query}"

    @property
    def socket_folder(self) -> Path:
        """Where the Unix socket is.

        Raises:
            EmbeddedPostgresError: The server does not run.
        """
        if self._socket_folder is None:
            raise EmbeddedPostgresError("the embedded server does not run; start it first")
        return self._socket_folder

    def start(self) -> None:
        """Start the server and return when it accepts connections; make its folder and cluster if missing.

        Libpq's variables (`PGHOST` and so on) are taken out of the environment of this process.

        Raises:
            EmbeddedPostgresError: It cannot start; the message says why, with the log's last lines.
        """
        if self._process is not None:
            raise EmbeddedPostgresError(f"the embedded server in {self.folder} runs already")
        forget_libpq_variables()
        try:
            self._start()
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedPostgresError(f"the server in {self.folder} cannot be started: {error}") from error

    def _start(self) -> None:
        folder = self._folder
        bin_dir = reachable_binaries(find_binaries(self._bin_dir), folder.account)
        self._version = version_of(bin_dir, folder.account)
        folder.prepare()
        self._lock = folder.lock()
        try:
            folder.initialize(bin_dir, self._version, sync=self._durable)
            folder.await_former_server(_FORMER_SERVER_LIMIT_S)
            self._launch_on_free_port(bin_dir)
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and let go of its folder; nothing happens if it does not run.

        Args:
            mode: `fast` ends sessions and writes a checkpoint. `immediate` ends at once as a crash would, and
                the next start recovers from the log of changes. A fast stop that takes a minute becomes
                immediate.
        """
        if self._process is not None:
            end(self._process, mode)
            self._process = None
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop (see `stop`) and start again on the same port.

        Raises:
            EmbeddedPostgresError: It does not start again.
        """
        self.stop(mode)
        self.start()

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database, as a copy of `template` if given, and return its connection URL.

        Raises:
            psycopg.errors.DuplicateDatabase: It exists.
            psycopg.errors.ObjectInUse: Somebody is connected to the template.
        """
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._administer(command)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions in it; nothing happens if there is none."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, command: sql.Composed) -> None:
        with psycopg.connect(self.dsn(), autocommit=True, connect_timeout=_CONNECT_LIMIT_S) as connection:
            connection.execute(command)

    def _launch_on_free_port(self, bin_dir: Path) -> None:
        self._socket_folder = self._folder.make_socket_folder()
        attempts = _PORT_ATTEMPTS if self._port is None else 1
        for attempt in range(1, attempts + 1):
            port = self._port or free_port()
            settings = self._settings | listening(port, self._socket_folder)
            self._process = launch(self._folder, bin_dir, settings)
            failure = await_ready(self._process, self._folder, self._start_limit_s)
            if failure is None:
                self._port = port
                return
            end(self._process, "immediate")
            self._process = None
            tail = self._folder.log_tail()
            # Between our look and the server's bind somebody else may take the port.
            if "could not bind" not in tail or attempt == attempts:
                raise EmbeddedPostgresError(
                    f"PostgreSQL {self._version} {failure} in {self.folder}; "
                    f"the end of {self._folder.log}:\n{tail}"
                )


@contextmanager
def temporary_postgres(
    *, bin_dir: Path | None = None, durable: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """A started server in a new folder under the system's temporary folder, removed afterwards.

    Args:
        bin_dir: Where the programs are; found if not given.
        durable: See `EmbeddedPostgres`; off by default, as is autovacuum.
        settings: More server settings.

    Raises:
        EmbeddedPostgresError: It cannot start.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="pgweave-postgres-"))
    except OSError as error:
        raise EmbeddedPostgresError(f"no folder for the server can be made: {error}; set TMPDIR") from error
    try:
        with EmbeddedPostgres(
            folder, bin_dir=bin_dir, durable=durable, autovacuum=False, settings=settings
        ) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
