"""HAProxy in front of two processes of the service, as the project recommends it; it ends with the block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pgweave.loopback import free_port
from tests.support.proxies import listening
from tests.support.tools import require_tool

RECOMMENDED = Path(__file__).parents[2] / "docker" / "haproxy.cfg"


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
    with listening([program, "-db", "-f", str(RECOMMENDED)], port, variables={**os.environ, **addresses}):
        yield f"http://127.0.0.1:{port}"
