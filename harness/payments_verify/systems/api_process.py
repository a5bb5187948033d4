"""One process of ``payments-core serve`` that may be killed, stopped for a while, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import IO

from payments_core.entrypoints import tokens
from payments_verify.patience import patient
from payments_verify.systems.server import STOP_LIMIT_S, ServerError, answers
from pgweave.loopback import HOST, free_port
from pgweave.service.patience import IDLE_LIMIT_S, comes_to_serve, last_printed
from pgweave.service.process_group import end_group

_SERVE = ("-m", "payments_core")


def make_token() -> tuple[str, str]:
    """A token for clients, and what a process is told of it."""
    return tokens.make()


class ApiProcess:
    """A server process on a port that it keeps.

    Attributes:
        url: where it serves.
        pid: its process id; of the last one, if it does not run.
        exit_code: how the last one ended, as ``subprocess`` says it; ``None`` while it runs.
    """

    def __init__(self, environment: Mapping[str, str], output: IO[bytes]) -> None:
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"
        self.pid = 0
        self._environment = environment
        self._output = output
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def run(cls, environment: Mapping[str, str]) -> AsyncIterator[ApiProcess]:
        """A process that serves, until the block ends.

        Args:
            environment: its variables, beside the harness's own.

        Raises:
            ServerError: if it does not come to serve.
        """
        with tempfile.TemporaryFile() as output:
            process = cls(environment, output)
            try:
                await process.start()
                yield process
            finally:
                await process.end()

    @property
    def exit_code(self) -> int | None:
        """How the last one ended, negative for a signal; ``None`` while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self, program: Sequence[str] = _SERVE) -> None:
        """Start it, as often as it takes: it ends where its database is not there yet, as it should.

        Args:
            program: arguments of the Python that runs it, before ``serve``.

        Raises:
            ServerError: if it does not come to serve.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patient(IDLE_LIMIT_S)
        while loop.time() < deadline:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                *("serve", "--port", str(self._port)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # the terminal's Ctrl-C is for the harness, which ends it in order
                env={**os.environ, **self._environment},
            )
            self.pid = self._process.pid
            if await comes_to_serve(self._process, self._output, partial(answers, self.url)):
                return
            await self.end()  # it may be there all the same, and keep its port
        raise ServerError(f"payments-core serve did not come to serve; it printed:\n{self.printed()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended, and give its exit code; harder if it takes half a minute.

        Raises:
            ServerError: if it was never started.
        """
        if self._process is None:
            raise ServerError("the process was never started")
        try:
            return await asyncio.wait_for(self._process.wait(), patient(STOP_LIMIT_S))
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self._process.wait()

    async def end(self) -> None:
        """End it, whatever its state."""
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGCONT)
            await end_group(self._process, STOP_LIMIT_S)

    def printed(self, most: int = 8_192) -> str:
        """The end of what it has printed."""
        return last_printed(self._output, most)
