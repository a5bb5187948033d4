"""The folder of an embedded server: made, checked, locked and filled with a cluster.

As root the folder belongs to root and only `data`, `run` and `password` to the server's account, so that the
account cannot lead root astray with links.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pgweave.embedded.binaries import Account, EmbeddedPostgresError, major

SUPERUSER = "postgres"

_SOCKET_PATH_LIMIT = 103  # sockaddr_un.sun_path without its NUL: 107 bytes on Linux, 103 on macOS and BSD
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/._+-]+")
_LONGEST_SOCKET_NAME = ".s.PGSQL.65535"
_LOG_LINES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """The files of one embedded server.

    Attributes:
        path: The folder, absolute.
        account: Who runs the server and owns its data.
    """

    path: Path
    account: Account

    @property
    def data(self) -> Path:
        """The cluster (PGDATA)."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """What the server writes since it was last started."""
        return self.path / "postgres.log"

    def prepare(self) -> None:
        """Make the folder, or check that it is one of ours and that the account can reach it.

        Raises:
            EmbeddedPostgresError: It is something else's folder, another user's, or out of reach.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()}
            if names and "lock" not in names:
                raise EmbeddedPostgresError(
                    f"{self.path} is not empty and holds no embedded server; name another folder"
                )
            self.path.chmod(0o711 if self.account.switch else 0o700)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot use {self.path} for the embedded server: {error}") from error
        if self.account.switch and self.account.run(["/bin/sh", "-c", 'cd "$0"', str(self.path)]).returncode:
            raise EmbeddedPostgresError(
                f"the server runs as {self.account.name} because PostgreSQL refuses root, and that account "
                f"cannot reach {self.path}; name a folder outside of private homes, such as one in /var/lib"
            )

    def lock(self) -> int:
        """Keep every other starter out until the returned descriptor is closed.

        Raises:
            EmbeddedPostgresError: Another process holds the folder.
        """
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot lock {self.path}: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise EmbeddedPostgresError(
                f"{self.path} is in use: process {holder} runs an embedded server there; "
                "stop that process or name another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor

    def initialize(self, bin_dir: Path, version: str, *, sync: bool) -> None:
        """Run initdb unless a cluster is there; afterwards the cluster fits the programs and the account.

        Args:
            bin_dir: Where the programs are.
            version: Their version.
            sync: Wait until the new cluster is on disk.

        Raises:
            EmbeddedPostgresError: initdb failed, or the cluster is another version's or another user's.
        """
        if not self.data.exists():
            self._create_cluster(bin_dir, sync=sync)
        owner = self.data.stat().st_uid
        if owner != self.account.uid:
            raise EmbeddedPostgresError(
                f"{self.data} belongs to user {owner}, but the server would run as user {self.account.uid}; "
                "start it as its owner or name another folder"
            )
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if major(made_by) != major(version):
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {made_by} and the programs in {bin_dir} are {version}; "
                "use the programs of that version, or another folder"
            )

    def _create_cluster(self, bin_dir: Path, *, sync: bool) -> None:
        """Build the cluster beside its place and rename it: an initdb cut short leaves no half of one."""
        self._write_password()
        unfinished = self.path / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self.account.own(unfinished)
        initdb = self.account.run(
            [
                str(bin_dir / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                f"--pwfile={self.password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
                *([] if sync else ["--no-sync"]),
            ],
            cwd=self.path,
        )
        if initdb.returncode != 0:
            raise EmbeddedPostgresError(
                f"initdb failed in {self.path}:\n{initdb.stdout}{initdb.stderr}".strip()
            )
        unfinished.rename(self.data)

    def _write_password(self) -> None:
        path = self.password_file
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        self.account.own(path)

    @property
    def password_file(self) -> Path:
        """Holds the superuser's password."""
        return self.path / "password"

    def password(self) -> str:
        """The superuser's password."""
        return self.password_file.read_text().strip()

    def make_socket_folder(self) -> Path:
        """An empty folder, private to the account, whose sockets have paths that the system and libpq take.

        PostgreSQL and libpq read a list of folders: a comma or a quotation mark would be part of its grammar.
        """
        run = self.path / "run"
        shutil.rmtree(run, ignore_errors=True)
        longest = os.fsencode(run / _LONGEST_SOCKET_NAME)
        if len(longest) > _SOCKET_PATH_LIMIT or not _PLAIN_PATH.fullmatch(longest):
            run = Path(tempfile.mkdtemp(prefix="pgweave-", dir="/tmp"))
        else:
            run.mkdir(mode=0o700)
        self.account.own(run)
        return run

    def postmaster(self) -> tuple[int, bool] | None:
        """The process id in `postmaster.pid` and whether that server accepts connections, or None.

        A standby accepts them too, for reading.
        """
        try:
            lines = (self.data / "postmaster.pid").read_bytes().splitlines()  # a path of any bytes is one
            return int(lines[0]), len(lines) >= 8 and lines[7].strip() in (b"ready", b"standby")
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def await_former_server(self, limit_s: float) -> None:
        """Wait for a server whose starter died to finish its shutdown; remove a stale `postmaster.pid`.

        Call it with the lock held, so that nobody starts another one meanwhile.

        Raises:
            EmbeddedPostgresError: A server still runs on the data after `limit_s` seconds.
        """
        deadline = time.monotonic() + limit_s
        while (found := self.postmaster()) is not None:
            if not _is_postgres(found[0]):
                # PostgreSQL itself cannot tell a reused process id from a live server.
                (self.data / "postmaster.pid").unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"process {found[0]} still runs PostgreSQL on {self.data}; "
                    f"end it with: kill -INT {found[0]}"
                )
            time.sleep(0.02)

    def open_log(self) -> int:
        """A new, empty log; the one of the start before is kept as `postgres.log.1`."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)

    def log_tail(self) -> str:
        """The last lines of the log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES_SHOWN:]) or "(the log is empty)"


def _is_postgres(pid: int) -> bool:
    """Whether a process of that id lives and, where /proc tells, is a PostgreSQL server."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    proc = Path("/proc") / str(pid)
    try:
        zombie = (proc / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not zombie and b"postgres" in (proc / "cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()
