"""``payments-core`` as processes of its own, each ended by its id, with a limit on every wait."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import httpx
from typer.testing import CliRunner, Result

from payments_core.entrypoints.cli import app
from tests.support.loopback import DIRECT

START_LIMIT_S = 60.0
STOP_LIMIT_S = 40.0
_ROOT = Path(__file__).parents[2]
_SERVING = re.compile(r"^serving on (http://\S+)$", re.MULTILINE)


def environment(**variables: str) -> dict[str, str]:
    """This process' environment without settings of the service, but for those given."""
    kept = {k: v for k, v in os.environ.items() if k != "DATABASE_URL" and not k.startswith("PAYMENTS_")}
    return kept | variables


def run(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, program: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of ``payments-core``, or a program in its place, to its end."""
    return subprocess.run(
        [sys.executable, *(["-m", "payments_core"] if program is None else ["-c", program]), *arguments],
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        env=environment(PYTHONPATH=str(_ROOT), **(variables or {})),
        check=False,
    )


def invoke(arguments: Sequence[str], variables: Mapping[str, str]) -> Result:
    """Run a command in this process, which is faster; for those that end before they do anything."""
    with mock.patch.dict(os.environ, environment(**variables), clear=True):
        return CliRunner().invoke(app, arguments)


class Server:
    """A running ``payments-core serve``.

    Attributes:
        process: the process.
        url: where it serves.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output
        self.url = self._await_url()

    @property
    def printed(self) -> str:
        """What it has written to standard output and standard error."""
        return self._output.read_text(errors="replace")

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.url.rpartition(":")[2])

    def stop(self, ending: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(ending)
        return self.process.wait(STOP_LIMIT_S)

    def _await_url(self) -> str:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = _SERVING.search(self.printed)
            if found is not None and _is_ready(found[1]):
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"no server (exit code {self.process.poll()}); it printed:\n{self.printed}")


@contextmanager
def serving(
    folder: Path, arguments: Sequence[str] = (), module: str = "payments_core", **variables: str
) -> Iterator[Server]:
    """``payments-core serve`` on a free port, with its output in ``folder``; ended with the block.

    Args:
        folder: where its output goes.
        arguments: more arguments of ``serve``.
        module: what is run in its place, with the same arguments.
        variables: its settings.
    """
    output = folder / f"output-{time.monotonic_ns()}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--port", "0", *arguments],
            stdout=file,
            stderr=file,
            env=environment(**{"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(_ROOT)} | variables),
        )
    try:
        yield Server(process, output)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT_S)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, **DIRECT).status_code == 200
    except httpx.TransportError:
        return False
