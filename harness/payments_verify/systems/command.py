"""A service that somebody's command starts: any program that takes a ``DATABASE_URL`` and serves HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO

import httpx

from payments_verify.systems.http_client import http_client
from payments_verify.visible import without_passwords

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 15.0
_PROBE_LIMIT_S = 2.0


class CommandError(RuntimeError):
    """The command did not come to serve; the message has what it printed."""


@asynccontextmanager
async def running_command(
    command: str, environment: Mapping[str, str], ready: str = "/readyz"
) -> AsyncIterator[str]:
    """Run a command until the block ends, and give the URL at which it serves.

    It gets ``PORT``, a free port of this machine, and ``HOST``, 127.0.0.1, and is expected to serve there;
    the shell expands both in the command: ``my-service --port $PORT``. It is ready when it answers
    a GET of ``ready`` with anything below 500, a 404 included. At the end it gets SIGTERM, and SIGKILL if
    that does not help.

    Args:
        command: for the shell.
        environment: what it gets beside the harness's own environment.
        ready: the path that is asked for.

    Raises:
        CommandError: it ended, or did not answer within a minute.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own, which ends with it
            env={**os.environ, **environment, "HOST": "127.0.0.1", "PORT": str(port)},
        )
        try:
            await _await_ready(process, url, ready, command, output)
            yield url
        finally:
            await _end(process)


async def _await_ready(
    process: asyncio.subprocess.Process, url: str, ready: str, command: str, output: IO[bytes]
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_LIMIT_S
    async with http_client(limit_s=_PROBE_LIMIT_S) as http:
        while loop.time() < deadline and process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{url}{ready}")).status_code < 500:
                    return
            await asyncio.sleep(0.05)
    ended = "" if process.returncode is None else f" (it ended with {process.returncode})"
    printed = os.pread(output.fileno(), 65_536, 0).decode(errors="replace")
    shown = without_passwords(command)
    raise CommandError(f"nothing serves at {url}{ended}; {shown!r} printed:\n{without_passwords(printed)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    for what in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, what)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_LIMIT_S)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
