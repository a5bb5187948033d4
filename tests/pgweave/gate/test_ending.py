"""A gate that ends leaves no connection open, neither to the server nor to a client."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgweave.gate import Gate

CANCEL = struct.pack("!iiii", 16, 80877102, 1, 2)
STARTUP = struct.pack("!ii", 9, 196608) + b"\0"


class Silent:
    """A server that takes connections and answers nothing."""

    def __init__(self) -> None:
        self.dsn = ""
        self.taken = asyncio.Event()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken.set()
        await reader.read()
        self.ended.set()
        writer.close()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Silent]:
        silent = cls()
        server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
        async with server:
            silent.dsn = f"host=127.0.0.1 port={server.sockets[0].getsockname()[1]} dbname=d user=u"
            yield silent


async def reach(gate: Gate) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(str(conninfo_to_dict(gate.tcp_dsn)["port"])))


@pytest.mark.parametrize("first", [CANCEL, STARTUP], ids=["a request to cancel", "a session"])
def test_what_the_server_has_not_answered_is_closed(first: bytes) -> None:
    async def run() -> None:
        async with Silent.open() as server:
            async with Gate.open(server.dsn) as gate:
                reader, writer = await reach(gate)
                writer.write(first)
                await asyncio.wait_for(server.taken.wait(), 10)
            await asyncio.wait_for(server.ended.wait(), 10)
            await asyncio.wait_for(reader.read(), 10)
            writer.close()

    asyncio.run(run())


def test_a_client_that_has_sent_nothing_is_closed() -> None:
    async def run() -> None:
        async with Silent.open() as server:
            async with Gate.open(server.dsn) as gate:
                reader, writer = await reach(gate)
                await asyncio.sleep(0.05)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    asyncio.run(run())


def test_one_that_comes_as_the_gate_ends_is_closed_and_the_server_never_asked() -> None:
    async def run() -> None:
        async with Silent.open() as server:
            async with Gate.open(server.dsn) as gate:
                port = int(str(conninfo_to_dict(gate.tcp_dsn)["port"]))
                take = gate.came
                arrived = asyncio.Event()

                def note(client: asyncio.WriteTransport) -> None:
                    arrived.set()
                    take(client)

                gate.came = note  # type: ignore[method-assign]
                await gate.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(STARTUP)
                await asyncio.wait_for(arrived.wait(), 10)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 10)
            assert not server.taken.is_set()
            writer.close()

    asyncio.run(run())
