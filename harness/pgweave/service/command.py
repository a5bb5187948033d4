"""A service that somebody's command starts: any program that takes a ``DATABASE_URL`` and serves HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import IO

import httpx

from pgweave.loopback import HOST, free_port
from pgweave.outermost import tell
from pgweave.service import patience
from pgweave.service.end import End
from pgweave.service.http_client import http_client
from pgweave.service.patience import comes_to_serve, last_printed
from pgweave.service.process_group import end_group
from pgweave.visible import without_passwords

_STOP_LIMIT_S = 15.0
_PROBE_LIMIT_S = 2.0
_END_SHOWS_S = 0.5
_NOT_YET = 503
_MOST_BROKEN = 200  # looks: 10 s and more
_TOLD_AFTER_S = 10.0


class CommandError(RuntimeError):
    """The command did not come to serve; the message has what it printed."""


class NoAnswerError(CommandError):
    """The command goes on, and answers nothing where it is expected to serve."""


@dataclass(frozen=True)
class RunningCommand:
    """A command that serves.

    Attributes:
        url: where.
        process: the shell, or what has taken its place.
    """

    url: str
    process: asyncio.subprocess.Process

    async def end(self) -> End | None:
        """How it has ended, or is just ending: what listens no more is waited for."""
        await self._wait(_END_SHOWS_S)
        if self.process.returncode is None and not await self._listens():
            await self._wait(_STOP_LIMIT_S)
        return None if self.process.returncode is None else End(self.process.returncode)

    async def kill(self) -> None:
        """End it and what it has started at once, as the end of its machine would (SIGKILL)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def _wait(self, limit_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), limit_s)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, httpx.URL(self.url).port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def running_command(
    command: str,
    environment: Mapping[str, str],
    ready: str = "/readyz",
    output: IO[bytes] | None = None,
) -> AsyncIterator[RunningCommand]:
    """Run a command until the block ends, and give it once it serves.

    It gets ``PORT``, a free port of this machine, and ``HOST``, 127.0.0.1, and is expected to serve there;
    the shell expands both in the command: ``my-service --port $PORT``. It is ready when it answers
    a GET of ``ready`` with anything below 500, a 404 included. At the end it and what it has
    started get SIGTERM, and SIGKILL if that does not help.

    Args:
        command: for the shell.
        environment: what it gets beside the harness's own environment.
        ready: the path that is asked for.
        output: a file for what it prints; one that is removed at the end if not given.

    Raises:
        NoAnswerError: it came to a halt, and nothing answers. After some seconds standard error says so.
        CommandError: it ended before it answered, or answers that it is broken.
    """
    port = free_port()
    url = f"http://{HOST}:{port}"
    with nullcontext(output) if output is not None else tempfile.TemporaryFile() as printed:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,  # a group of its own, which ends with it
            env={**os.environ, **environment, "HOST": HOST, "PORT": str(port)},
        )
        try:
            await _await_ready(process, url, ready, command, printed)
            yield RunningCommand(url, process)
        finally:
            await end_group(process, _STOP_LIMIT_S)


async def _await_ready(
    process: asyncio.subprocess.Process, url: str, ready: str, command: str, output: IO[bytes]
) -> None:
    broken: list[int] = []
    silence = _Silence(url)
    async with http_client(limit_s=_PROBE_LIMIT_S) as http:

        async def serves() -> bool:
            with contextlib.suppress(httpx.TransportError):
                status = (await http.get(f"{url}{ready}")).status_code
                silence.has_answered = True
                broken.extend([status] if status >= 500 and status != _NOT_YET else [])
                return status < 500
            silence.tell_if_long()
            return False

        if await comes_to_serve(process, output, serves, lambda: len(broken) >= _MOST_BROKEN):
            return
    ended = "it does nothing more" if process.returncode is None else f"it ended with {process.returncode}"
    if broken:
        ended = f"it answers GET {ready} with {broken[-1]}; name a path that it answers with less than 500"
    shown, printed = without_passwords(command), without_passwords(last_printed(output))
    zone = f", with TZ={os.environ['TZ']}" if "TZ" in os.environ else ""
    told = f"nothing serves at {url} ({ended}); {shown!r}{zone} printed:\n{printed}"
    if silence.has_answered or process.returncode is not None:
        raise CommandError(told)
    raise NoAnswerError(f"{silence.question}\n{told}")


class _Silence:
    """A service that has answered nothing so far.

    Attributes:
        question: what may be the matter.
        has_answered: whether it has answered something.
    """

    def __init__(self, url: str) -> None:
        self.question = f"nothing answers at {url}: does the service read HOST and PORT?"
        self.has_answered = False
        self._tell_at = time.monotonic() + _TOLD_AFTER_S

    def tell_if_long(self) -> None:
        """Say it on standard error, once, if it has lasted."""
        if not self.has_answered and time.monotonic() > self._tell_at:
            self._tell_at = math.inf
            limit = f"{patience.IDLE_LIMIT_S:g} s"
            tell(f"{self.question} It is waited for until it has done nothing for {limit}")
