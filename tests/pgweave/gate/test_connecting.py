"""How the gate reaches the server for a client: as it is told to, and not for one that has gone."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgweave.gate import Gate
from pgweave.gate.upstream import Upstream

STARTUP = struct.pack("!ii", 9, 196608) + b"\0"


async def began(gate: Gate) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = conninfo_to_dict(gate.tcp_dsn)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
    writer.write(STARTUP)
    return reader, writer


@pytest.mark.parametrize("where", ["host=127.0.0.2", "hostaddr=127.0.0.2"])
def test_the_server_is_where_the_connection_string_says(where: str) -> None:
    async def run() -> None:
        came = asyncio.Event()

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.2", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Gate.open(f"{where} port={port} dbname=d user=u") as gate:
            _, writer = await began(gate)
            await asyncio.wait_for(came.wait(), 10)
            writer.close()

    asyncio.run(run())


def test_who_goes_before_the_server_is_reached_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        reached, may_go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        at_once = Upstream.connect

        async def connect(
            upstream: Upstream,
            protocol: Callable[[], asyncio.Protocol],
        ) -> asyncio.WriteTransport:
            reached.set()
            await may_go_on.wait()
            return await at_once(upstream, protocol)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            ended.set()
            writer.close()

        monkeypatch.setattr(Upstream, "connect", connect)
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Gate.open(f"host=127.0.0.1 port={port} dbname=d user=u") as gate:
            _, writer = await began(gate)
            await reached.wait()
            writer.close()
            async with asyncio.timeout(10):
                while gate.sessions:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.01)
            may_go_on.set()
            await asyncio.wait_for(ended.wait(), 10)

    asyncio.run(run())
