"""Clients that a process made before it forked."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import UUID

import pytest

from payments_client import AsyncPaymentsClient, PaymentsClient, Refused

IN_PARENT, IN_CHILD, AFTER = (UUID(int=number) for number in range(3))


class Recorder(BaseHTTPRequestHandler):
    """Knows no payment, and notes from which port each was asked for."""

    protocol_version = "HTTP/1.1"
    ports: dict[str, int]

    def do_GET(self) -> None:
        self.ports[self.path.rpartition("/")[2]] = self.client_address[1]
        self.send_response(404)
        self.send_header("Content-Type", "application/problem+json")
        body = b'{"type": "/problems/payment_not_found", "status": 404}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[str, dict[str, int]]]:
    """The URL of a server, and the port from which each payment was asked for."""
    ports: dict[str, int] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_", (Recorder,), {"ports": ports}))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", ports
    server.shutdown()
    thread.join()
    server.server_close()


def in_child(call: Callable[[], None]) -> int:
    """Call it in a child of a fork; return the exit code, 0 if it came to its end."""
    child = os.fork()
    if child == 0:  # pragma: no cover - counted in the child, which ends at once
        code = 1
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_has_connections_of_its_own(recorder: tuple[str, dict[str, int]]) -> None:
    url, ports = recorder
    with PaymentsClient(url) as client:

        def read(payment_id: UUID) -> None:
            with pytest.raises(Refused):
                client.read(payment_id)

        def end_as_a_child() -> None:
            read(IN_CHILD)
            client.close()

        read(IN_PARENT)
        assert in_child(end_as_a_child) == 0
        read(AFTER)
    _expect_apart(ports)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_has_connections_of_its_own_with_asyncio(recorder: tuple[str, dict[str, int]]) -> None:
    url, ports = recorder
    client = AsyncPaymentsClient(url)

    async def read(payment_id: UUID) -> None:
        with contextlib.suppress(Refused):
            await client.read(payment_id)

    async def end_as_a_child() -> None:
        await read(IN_CHILD)
        await client.close()

    with asyncio.Runner() as runner:
        runner.run(read(IN_PARENT))
        assert in_child(lambda: asyncio.run(end_as_a_child())) == 0
        runner.run(read(AFTER))
        runner.run(client.close())
    _expect_apart(ports)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_has_asked_nothing_closes_nothing(recorder: tuple[str, dict[str, int]]) -> None:
    url, ports = recorder
    with PaymentsClient(url) as client:
        with pytest.raises(Refused):
            client.read(IN_PARENT)
        assert in_child(client.close) == 0
        with pytest.raises(Refused):
            client.read(AFTER)
    assert ports[str(IN_PARENT)] == ports[str(AFTER)]


def _expect_apart(ports: dict[str, int]) -> None:
    assert ports[str(IN_PARENT)] == ports[str(AFTER)]
    assert ports[str(IN_CHILD)] not in {0, ports[str(IN_PARENT)]}
