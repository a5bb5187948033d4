"""A full disk. The cluster is moved to a small file system in memory, which is then filled.

Mounting one needs root, and a system that allows it; where it does not, the fault says so.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg

from payments_verify.nemesis.fault import Fault

_ROOM = 64 * 1024 * 1024
_LIMIT_S = 60
_SWITCHES = 40
_FILLER = "filler"


@cache
def cannot_mount() -> str | None:
    """Why no file system can be mounted here; ``None`` if one can, which is tried."""
    if os.geteuid() != 0:
        return "mounting a small file system needs root"
    folder = Path(tempfile.mkdtemp(prefix="payments-mount-"))
    try:
        _command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
        _command("umount", str(folder))
    except (OSError, subprocess.SubprocessError) as error:
        return f"a small file system cannot be mounted: {error}"
    finally:
        with suppress(OSError):
            folder.rmdir()
    return None


class DiskFull(Fault):
    """No room for another page."""

    name = "disk full"
    about = "the database's file system fills up: tables cannot grow; then room is made"
    side = "database"
    hold_s = (0.8, 2.0)

    _moved = False

    @classmethod
    def missing(cls) -> str | None:
        """Whether a small file system can be mounted."""
        return cannot_mount()

    async def inject(self) -> None:
        """Move the data to a small file system, let the service go on there, and fill it."""
        cluster = self.deployment.cluster
        await cluster.stop(immediate=False)
        try:
            await asyncio.to_thread(self._move_in)
        finally:
            await cluster.start()
        await asyncio.sleep(0.7)
        await asyncio.to_thread(self._fill)
        self.effects = 1

    async def heal(self) -> None:
        """Make room."""
        if self._moved:
            (self.deployment.cluster.data / _FILLER).unlink(missing_ok=True)

    async def clear(self) -> bool:
        """Move the data back."""
        if not self._moved:
            return False
        await self.deployment.cluster.stop(immediate=False)
        try:
            await asyncio.to_thread(self._move_out)
        finally:
            await self.deployment.cluster.start()
        return True

    def _move_in(self) -> None:
        data = self.deployment.cluster.data
        account = self.deployment.cluster.account
        size = _size(data) + _ROOM
        aside = _aside(data)
        data.rename(aside)
        data.mkdir(mode=0o700)
        account.own(data)
        options = f"size={size},mode=0700,uid={account.uid},gid={account.gid}"
        try:
            _command("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(data))
            self._moved = True
            _command("cp", "-a", f"{aside}/.", str(data))
        except BaseException:
            self._give_up(data, aside)
            raise
        shutil.rmtree(aside)

    def _give_up(self, data: Path, aside: Path) -> None:
        if self._moved:
            _command("umount", "--lazy", str(data))
            self._moved = False
        data.rmdir()
        aside.rename(data)

    def _move_out(self) -> None:
        data = self.deployment.cluster.data
        aside = _aside(data)
        _command("cp", "-a", str(data), str(aside))
        _command("umount", "--lazy", str(data))
        data.rmdir()
        aside.rename(data)
        self._moved = False

    def _fill(self) -> None:
        descriptor = os.open(self.deployment.cluster.data / _FILLER, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for size in (1 << 20, 1 << 12):
                with suppress(_NoRoom):
                    while True:
                        _write(descriptor, bytes(size))
        finally:
            os.close(descriptor)


class LogFull(DiskFull):
    """No room for the log: the server cannot go on at all."""

    name = "log full"
    about = "the database's file system fills up until the log of changes cannot grow and the server ends"

    async def inject(self) -> None:
        """Fill the disk, and use up what is left of the log."""
        await super().inject()
        self.effects = 0
        with suppress(psycopg.OperationalError):
            async with self.deployment.cluster.connect() as connection:
                for _ in range(_SWITCHES):
                    await connection.execute(
                        b"SELECT pg_logical_emit_message(false, 'nemesis', repeat('x', 9000))"
                    )
                    await connection.execute(b"SELECT pg_switch_wal()")
            return
        self.effects = 1

    async def heal(self) -> None:
        """Make room, and start the server."""
        await super().heal()
        if self._moved:
            await self.deployment.cluster.stop(immediate=True)
            await self.deployment.cluster.start()


class _NoRoom(Exception):
    """The file system is full."""


def _write(descriptor: int, data: bytes) -> None:
    try:
        os.write(descriptor, data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _NoRoom from error


def _aside(data: Path) -> Path:
    return data.with_name("data.aside")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _command(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)  # noqa: S603 - ours
