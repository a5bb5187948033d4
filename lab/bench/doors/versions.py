"""Versions of the service in one process, each capturing by HTTP over a transport that leads nowhere.

In one process they share the machine's good and bad moments: on a busy one, two servers do not.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from lab.bench.doors.below import Nowhere
from lab.bench.service.database import AMOUNT_CENTS, FIRST_ID, IDS, SPREAD
from lab.bench.service.servers import DIGEST, TOKEN

CLIENTS = 10
_PACKAGE = "payments_core"
_CAPTURE = """POST /payments/{id}/captures HTTP/1.1\r
Host: 127.0.0.1:8000\r
Authorization: Bearer {token}\r
Content-Type: application/json\r
Idempotency-Key: order-{number}-capture\r
Content-Length: {length}\r
\r
{body}"""
_BODY = f'{{"amount_cents":{AMOUNT_CENTS}}}'
_PUT_OFF_S = 0.02


class Version:
    """One version, in a database of its own.

    Args:
        folder: a checkout of it.
        dsn: of a database with authorized payments, numbered from 0.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        with _imported_from(folder):
            wiring = importlib.import_module(f"{_PACKAGE}.entrypoints.wiring")
            settings = importlib.import_module(f"{_PACKAGE}.entrypoints.settings").Settings
            http = f"{_PACKAGE}.entrypoints.http"
            self._protocol = importlib.import_module(f"{http}.protocol").BoundedProtocol
            self._options = {}
            if find_spec(f"{http}.connections") is not None:  # older versions did not bound them
                connections = importlib.import_module(f"{http}.connections").Connections
                self._options["connections"] = connections(2 * CLIENTS)
            importlib.import_module(f"{_PACKAGE}.entrypoints.logs").configure_logs("info")
            self.app = wiring.postgres_app(
                settings(database_url=dsn, pool_max=CLIENTS, pool_min=CLIENTS, tokens=DIGEST)
            )
        self._config = uvicorn.Config(self.app, ws="none", lifespan="off", log_config=None, access_log=False)
        self._config.load()
        self._number = 0
        self._clients: list[_Client] = []

    def connect(self, state: dict[str, Any]) -> None:
        """Connect the clients, once the application's process has begun."""
        loop = asyncio.get_running_loop()
        for _ in range(CLIENTS):
            protocol = self._protocol(self._config, ServerState(), state, _loop=loop, **self._options)
            self._clients.append(_Client(protocol))

    async def microseconds(self, count: int) -> float:
        """Processor time of this process for one of so many captures, in µs."""
        left = iter(range(count))
        began = time.process_time()
        await asyncio.gather(*(self._capture(client, left) for client in self._clients))
        await asyncio.sleep(_PUT_OFF_S)  # until what was put off has been done
        return (time.process_time() - began) / count * 1e6

    async def _capture(self, client: _Client, left: Iterator[int]) -> None:
        for _ in left:
            number, self._number = self._number, self._number + 1
            text = f"{FIRST_ID + number * SPREAD % IDS:08d}-0000-0000-0000-000000000000"
            request = _CAPTURE.format(id=text, token=TOKEN, number=number, length=len(_BODY), body=_BODY)
            answer = await client.answer(request.encode())
            assert answer.startswith(b"HTTP/1.1 201 "), answer


class _Client(Nowhere):
    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol
        self._received = b""
        protocol.connection_made(self)

    async def answer(self, request: bytes) -> bytes:
        self._received = b""
        self._answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._protocol.data_received(request)
        return await self._answered

    def write(self, data: Any) -> None:
        self._received += data
        _, _, body = self._received.partition(b"\r\n\r\n")
        if body and not self._answered.done():
            self._answered.set_result(self._received)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))


@contextmanager
def _imported_from(folder: Path) -> Iterator[None]:
    """The package is imported from a checkout in the block, and is what it was after it."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _PACKAGE}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(folder / "impl"))
    try:
        yield
    finally:
        sys.path.remove(str(folder / "impl"))
        for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(before)
