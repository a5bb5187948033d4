"""A durable PostgreSQL that may be hurt: stopped as in a crash, moved elsewhere, replaced by its standby.

Unlike the databases of the other checks, this one has ``fsync`` and ``synchronous_commit`` on, and its
service logs in as an ordinary role, so that the server's limits hold for it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.patience import ask_until
from payments_verify.systems.database import CLOCK_FUNCTION
from pgweave import clock
from pgweave.embedded import EmbeddedPostgres, EmbeddedPostgresError
from pgweave.embedded.binaries import (
    Account,
    find_binaries,
    reachable_binaries,
    server_account,
)

SERVICE_LOGIN = "payments_api"
STANDBY = "standby"

_DATABASE = "verify"
_CONNECT_LIMIT_S = 10
_STATEMENT_LIMIT_MS = 30_000
_SYNC_LIMIT_S = 60.0
_SETTINGS = {"max_connections": "60", "max_wal_size": "256MB", "min_wal_size": "64MB"}
_T = TypeVar("_T")

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class Cluster:
    """One primary, and at times a standby.

    Every method that touches a server runs in a thread, one at a time, and to its end even if its caller is
    cancelled: a server that is half started cannot be ended.

    Attributes:
        account: the operating system's account that runs the servers.
        settings: the servers' settings.
    """

    def __init__(self, folder: Path, bin_dir: Path | None, settings: Mapping[str, str]) -> None:
        self.account: Account = server_account()
        self.settings = {**_SETTINGS, **settings}
        self._folder = folder
        # Found once: a standby of another version could not follow.
        self._bin_dir = find_binaries(bin_dir)
        self._password = secrets.token_urlsafe(16)
        self._sites = 0
        self._primary = self._site()
        self._standby: EmbeddedPostgres | None = None
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, bin_dir: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Cluster]:
        """A running cluster in a folder of its own, migrated, with a clock that can be moved.

        Args:
            bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
            settings: more settings of the servers.

        Raises:
            EmbeddedPostgresError: if it cannot be started.
        """
        folder = _folder()
        try:
            cluster = cls(folder, bin_dir, settings or {})
            try:
                await cluster._run(cluster._prepare)
                yield cluster
            finally:
                await asyncio.shield(cluster._run(cluster._end))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def dsn(self) -> str:
        """How the superuser reaches the database, past every proxy."""
        return self._primary.dsn(_DATABASE)

    @property
    def address(self) -> tuple[str, int]:
        """Where the primary listens."""
        return "127.0.0.1", self._primary.port

    @property
    def data(self) -> Path:
        """The primary's data folder."""
        return self._primary.folder / "data"

    @property
    def version(self) -> str:
        """The servers' version."""
        return self._primary.version

    @property
    def standby_address(self) -> tuple[str, int]:
        """Where the standby listens.

        Raises:
            EmbeddedPostgresError: if there is none.
        """
        return "127.0.0.1", self._require_standby().port

    def service_dsn(self, *ports: int) -> str:
        """How the service reaches its database: by what listens on these ports of this machine."""
        password, hosts = quote(self._password, safe=""), ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{SERVICE_LOGIN}:{password}@{hosts}/{_DATABASE}"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A session of the superuser with the primary, past every proxy.

        Raises:
            psycopg.OperationalError: if the primary cannot be reached.
        """
        async with await psycopg.AsyncConnection.connect(
            self.dsn,
            autocommit=True,
            connect_timeout=_CONNECT_LIMIT_S,
            application_name="nemesis",
            options=f"-c statement_timeout={_STATEMENT_LIMIT_MS}",
        ) as connection:
            yield connection

    async def stop(self, *, immediate: bool) -> None:
        """Stop the primary: at once, as a crash of it would, or in order."""
        await self._run(lambda: self._primary.stop("immediate" if immediate else "fast"))

    async def kill(self) -> None:
        """End every process of the primary with SIGKILL, as the loss of its machine would."""
        await self._run(lambda: _kill_all(self._primary.pid))

    async def start(self) -> None:
        """Start the primary, which recovers if it was stopped at once.

        Raises:
            EmbeddedPostgresError: if it does not come up.
        """
        await self._run(self._primary.start)

    async def add_standby(self, port: int, *, is_waited_for: bool = True) -> None:
        """Copy the primary while it serves, start the copy as its standby, and let commits wait for it.

        Args:
            port: where the standby reaches the primary: the primary's own port, or that of a proxy before it.
            is_waited_for: whether commits wait; otherwise the replication is asynchronous.

        Raises:
            EmbeddedPostgresError: if the copy cannot be made, or does not follow.
        """
        standby = self._site()
        await self._run(lambda: self._copy_primary(standby, port))
        self._standby = standby
        await self._run(standby.start)
        async with self.connect() as connection:
            waited_for = STANDBY if is_waited_for else ""
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{waited_for}'".encode())
            await connection.execute("SELECT pg_reload_conf()")

            async def follows() -> bool:
                found = await connection.execute(
                    "SELECT FROM pg_stat_replication WHERE sync_state = %s AND state = 'streaming'",
                    ["sync" if is_waited_for else "async"],
                )
                return await found.fetchone() is not None

            if not await ask_until(follows, bool, _SYNC_LIMIT_S):
                raise EmbeddedPostgresError(f"the standby did not follow within {_SYNC_LIMIT_S:g} s")

    async def promote(self) -> None:
        """End the primary for good, as a crash would, and let its standby take its place.

        Raises:
            EmbeddedPostgresError: if there is no standby, or it is not promoted within a minute.
        """
        await self._run(self._promote)

    async def drop_standby(self) -> None:
        """End the standby, if there is one, and let commits wait for nobody."""
        if self._standby is None:
            return
        async with self.connect() as connection:
            await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await connection.execute("SELECT pg_reload_conf()")
        await self._run(self._remove_standby)

    async def _run(self, work: Callable[[], _T]) -> _T:
        async def in_turn() -> _T:
            async with self._turn:
                return await asyncio.to_thread(work)

        return await asyncio.shield(asyncio.ensure_future(in_turn()))

    def _site(self) -> EmbeddedPostgres:
        self._sites += 1
        return EmbeddedPostgres(
            self._folder / f"site-{self._sites}",
            bin_dir=self._bin_dir,
            durable=True,
            settings=self.settings,
        )

    def _prepare(self) -> None:
        self._primary.start()
        self._primary.create_database(_DATABASE)
        migrate(self.dsn)
        clock.install(self.dsn, CLOCK_FUNCTION)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            login = sql.Identifier(SERVICE_LOGIN)
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, sql.Literal(self._password))
            )
            connection.execute(sql.SQL("GRANT payments_app TO {}").format(login))

    def _end(self) -> None:
        for server in (self._standby, self._primary):
            if server is not None:
                server.stop("immediate")

    def _copy_primary(self, standby: EmbeddedPostgres, port: int) -> None:
        standby.folder.mkdir(mode=0o711)
        (standby.folder / "lock").touch(mode=0o600)  # marks a server's folder
        shutil.copy(self._primary.folder / "password", standby.folder / "password")
        (standby.folder / "password").chmod(0o600)
        data = standby.folder / "data"
        data.mkdir(mode=0o700)
        for path in (standby.folder / "password", data):
            self.account.own(path)
        programs = reachable_binaries(self._bin_dir, self.account)
        source = make_conninfo(self._primary.dsn(), port=port, application_name=STANDBY)
        # Nothing here makes the machine itself crash, so that the copy need not wait for the disk.
        command = [str(programs / "pg_basebackup"), f"--pgdata={data}", f"--dbname={source}"]
        command += ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"]
        copied = self.account.run(command)
        if copied.returncode != 0:
            raise EmbeddedPostgresError(f"pg_basebackup failed:\n{copied.stdout}{copied.stderr}".strip())

    def _promote(self) -> None:
        standby, former = self._require_standby(), self._primary
        former.stop("immediate")
        with psycopg.connect(standby.dsn(), autocommit=True, connect_timeout=_CONNECT_LIMIT_S) as connection:
            row = connection.execute("SELECT pg_promote(true, 60)").fetchone()
        if row is None or row[0] is not True:
            raise EmbeddedPostgresError("the standby was not promoted within 60 s")
        self._primary, self._standby = standby, None
        shutil.rmtree(former.folder, ignore_errors=True)

    def _require_standby(self) -> EmbeddedPostgres:
        if self._standby is None:
            raise EmbeddedPostgresError("there is no standby")
        return self._standby

    def _remove_standby(self) -> None:
        if self._standby is not None:
            self._standby.stop("immediate")
            shutil.rmtree(self._standby.folder, ignore_errors=True)
            self._standby = None


def _kill_all(postmaster: int) -> None:
    """Kill a server's postmaster, so that it starts nothing more, and then what it had started."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _folder() -> Path:
    """A new folder that the servers' account may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="payments-cluster-"))
    folder.chmod(0o711)
    return folder
