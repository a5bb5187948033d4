"""`serve` without `DATABASE_URL`: its own database is where it is told to be, for the next start, too."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg

from payments_core.entrypoints.own_database import OwnDatabaseError, find
from payments_verify.systems.processes.asked import AMOUNT, NotServedError, send, started
from payments_verify.systems.processes.forked import Forks
from pgweave.embedded import EmbeddedPostgresError
from pgweave.embedded.binaries import find_binaries

_PROGRAMS = "PAYMENTS_POSTGRES_BIN"


async def wrong_own_data(made: Forks, dsn: str) -> str | None:
    """What `serve --data` forgets, or keeps elsewhere, if it does; nothing where it cannot have a database.

    Args:
        made: starts processes.
        dsn: a database of the server whose programs are run.
    """
    programs = _programs(dsn)
    if programs is None or not _is_installed():
        return None
    path = f"/payments/{uuid4()}"
    # Of its own, and not below the processes' home: the server's account has to come to it, too.
    with tempfile.TemporaryDirectory(prefix="payments-verify-data-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for number, (method, body, status) in enumerate((("PUT", AMOUNT, 201), ("GET", None, 200)), 1):
            command = f"start {number} of payments-core serve --data FOLDER"
            try:
                async with started(made, "--port", "0", "--data", str(folder), **programs) as served:
                    answer = await send(served, method, path, content=body)
            except NotServedError as error:
                return f"I7, I8, I9: {command}: {error}"
            ended = await served.process.ended()
            if answer.status_code != status:
                return f"I7, I8: {command}: {method} {path} is answered {answer.status_code} {answer.text}"
            if ended.code != 0:
                return f"I9: {command} ends with exit code {ended.code}: {ended.errors[-300:]}"
            if _is_empty(folder):
                return f"I7, I8: {command}, and nothing is kept there"
        others = _others(served.process.output.parent)
    return f"I7, I8: {command}, and there is also {', '.join(others)}" if others else None


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _is_installed() -> bool:
    try:
        find("kept")
    except OwnDatabaseError:
        return False
    return True


def _others(folder: Path) -> list[str]:
    """Clusters elsewhere: in the folder that processes start in, which is their home."""
    return [str(each.parent) for each in folder.rglob("PG_VERSION")]


def _programs(dsn: str) -> Mapping[str, str] | None:
    """What names the PostgreSQL to run: that of the server that there is, or any; ``None`` if none."""
    with psycopg.connect(dsn) as connection, suppress(OSError):
        programs = Path(f"/proc/{connection.info.backend_pid}/exe").readlink().parent
        if (programs / "initdb").exists():
            return {_PROGRAMS: str(programs)}
    try:
        return {_PROGRAMS: str(find_binaries())}
    except EmbeddedPostgresError:
        return None
