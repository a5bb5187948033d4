"""HAProxy in front of two processes of the service, as the project recommends it; it ends with the block."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from payments_core.infrastructure.embedded.process import free_port
from tests.support.tools import require_tool

RECOMMENDED = Path(__file__).parents[2] / "docker" / "haproxy.cfg"
_START_LIMIT_S = 30.0


@contextmanager
def haproxy(one: str, two: str) -> Iterator[str]:
    """The URL of a balancer that leads to two processes, given by theirs."""
    program = require_tool("haproxy", purpose="the balancer")
    port = free_port()
    addresses = {
        "BALANCER": f"127.0.0.1:{port}",
        "API_ONE": urlsplit(one).netloc,
        "API_TWO": urlsplit(two).netloc,
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [program, "-db", "-f", str(RECOMMENDED)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **addresses},
        )
        try:
            _await_listening(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(_START_LIMIT_S)


def _await_listening(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    log.seek(0)
    raise AssertionError(f"HAProxy did not start:\n{log.read().decode(errors='replace')}")
