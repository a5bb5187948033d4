"""The servers that are compared, as processes: this service, and the stack a user would pick instead."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from payments_core.entrypoints import tokens
from pgweave.loopback import free_port

ROOT = Path(__file__).parents[3]
SERVICE, ALTERNATIVE = "payments-core", "FastAPI + SQLAlchemy"
FLOOR = "the floor"
EARLIER = "payments-core, earlier"
SESSIONS = 10
"""Connections of each process to the database: the service's default, which the alternative has too."""

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 30.0
TOKEN, DIGEST = tokens.make()


class ServerError(RuntimeError):
    """A server did not start or did not end; the message has what it printed."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: where it serves.
        pid: of its first process, the parent of the others.
    """

    url: str
    pid: int


Command = Callable[[int, int], Sequence[str]]
"""Of a server, for a port and a number of processes."""


def service(port: int, workers: int) -> list[str]:
    """The command of this service."""
    options = ("--port", str(port), "--workers", str(workers))
    return [sys.executable, "-m", "payments_core", "serve", *options]


def earlier(folder: Path) -> Command:
    """The command of another version of this service, with the packages that are installed for this one.

    Args:
        folder: a checkout of it.
    """

    def command(port: int, workers: int) -> Sequence[str]:
        return ["env", f"PYTHONPATH={folder / 'impl'}", *service(port, workers)]

    return command


def alternative(port: int, workers: int) -> list[str]:
    """The command of the other stack: uvicorn with the same event loop and HTTP parser."""
    options = ("--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--http", "httptools")
    application = "lab.bench.service.alternative.app:app"
    return [sys.executable, "-m", "uvicorn", application, *options, "--no-access-log"]


def floor(port: int, workers: int) -> list[str]:
    """The command of the service's statements behind the barest HTTP: one process."""
    assert workers == 1, "it has no other processes"
    return [sys.executable, "-m", "lab.bench.service.floor", str(port)]


COMMANDS: dict[str, Command] = {SERVICE: service, ALTERNATIVE: alternative, FLOOR: floor}
"""To compare with an `earlier` version, put its command in here."""


@contextmanager
def serving(
    name: str,
    dsn: str,
    workers: int = 1,
    commands: Mapping[str, Command] = COMMANDS,
    variables: Mapping[str, str] = MappingProxyType({}),
    files: int | None = None,
) -> Iterator[Server]:
    """Serve from a database with a number of processes; ended with the block.

    The service is as it is shipped, its token asked for and its log written to a file.

    Args:
        name: of a command.
        dsn: the database.
        workers: processes.
        commands: that there are.
        variables: more of its environment.
        files: how many it may have open; None for as many as this process.

    Raises:
        ServerError: it does not start.
    """
    port = free_port()
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PAYMENTS_", "PG"))}
    settings |= {"DATABASE_URL": dsn, "PAYMENTS_TOKENS": DIGEST, **variables}
    limit = [] if files is None else ["prlimit", f"--nofile={files}"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*limit, *commands[name](port, workers)], stdout=output, stderr=output, env=settings, cwd=ROOT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await(process, url, output.fileno())
            yield Server(url, process.pid)
        finally:
            _end(process)


def _await(process: subprocess.Popen[bytes], url: str, output: int) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _is_ready(url):
            return
        time.sleep(0.05)
    printed = os.pread(output, 65_536, 0).decode(errors="replace")
    raise ServerError(f"the server did not start (exit code {process.poll()}); it printed:\n{printed}")


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_LIMIT_S)
