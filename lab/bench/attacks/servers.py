"""Servers of the same application: the service as it is shipped, and others below it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.bench.service.servers import SERVICE, service

_FACTORY = "payments_core.entrypoints.wiring:app_from_environment"


def granian(port: int, workers: int) -> Sequence[str]:
    """hyper, by way of granian, with as much time for a head as the service gives."""
    program = str(Path(sys.executable).with_name("granian"))
    options = (
        "--port",
        str(port),
        "--workers",
        str(workers),
        "--loop",
        "uvloop",
        "--http1-header-read-timeout",
        "10000",
    )
    return [program, "--factory", _FACTORY, "--interface", "asgi", "--http", "1", "--no-ws", *options]


def uvicorn(parser: str) -> Callable[[int, int], Sequence[str]]:
    """uvicorn as it is, with one of its parsers."""

    def command(port: int, workers: int) -> Sequence[str]:
        options = ("--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--http", parser)
        return [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            _FACTORY,
            *options,
            "--ws",
            "none",
            "--no-access-log",
        ]

    return command


COMMANDS: Mapping[str, Callable[[int, int], Sequence[str]]] = {
    SERVICE: service,
    "granian": granian,
    "uvicorn-httptools": uvicorn("httptools"),
    "uvicorn-h11": uvicorn("h11"),
}
