"""A request to cancel ends for its client when the server has ended it: nothing later is cancelled by it."""

from __future__ import annotations

import asyncio
import struct

from psycopg.conninfo import conninfo_to_dict

from pgweave.gate import Gate

REQUEST = struct.pack("!iiii", 16, 80877102, 1, 2)


def test_the_client_waits_for_the_server() -> None:
    async def run() -> None:
        asked, may_end = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(len(REQUEST)) == REQUEST
            asked.set()
            await may_end.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Gate.open(f"host=127.0.0.1 port={port} dbname=d user=u") as gate:
            where = conninfo_to_dict(gate.tcp_dsn)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
            writer.write(REQUEST)
            await asked.wait()
            ended = asyncio.ensure_future(reader.read())
            await asyncio.sleep(0.05)
            assert not ended.done()
            may_end.set()
            assert await asyncio.wait_for(ended, 5) == b""
            writer.close()

    asyncio.run(run())


def test_requests_are_kept_until_told() -> None:
    """Each goes on then, even if its client has left; those that come later go on at once."""

    async def run() -> None:
        came: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(await reader.readexactly(len(REQUEST)))
            writer.close()

        async def ask() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
            writer.write(REQUEST)
            return reader, writer

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Gate.open(f"host=127.0.0.1 port={port} dbname=d user=u") as gate:
            where = conninfo_to_dict(gate.tcp_dsn)
            gate.cancels.are_kept = True
            asked = [await ask() for _ in range(2)]
            async with asyncio.timeout(5):
                while len(gate.cancels.kept) < len(asked):  # noqa: ASYNC110 - they come through sockets
                    await asyncio.sleep(0.01)
            asked[0][1].close()
            await asyncio.sleep(0.05)
            assert not came
            assert not asked[1][0].at_eof()
            await asyncio.wait_for(gate.cancels.deliver(), 5)
            assert came == [REQUEST] * 2
            reader, writer = await ask()
            assert [await asyncio.wait_for(each.read(), 5) for each in (asked[1][0], reader)] == [b"", b""]
            assert came == [REQUEST] * 3
            for each in (asked[1][1], writer):
                each.close()

    asyncio.run(run())


def test_a_gate_that_ends_keeps_none() -> None:
    async def run() -> None:
        async with Gate.open("host=127.0.0.1 port=1 dbname=d user=u") as gate:
            where = conninfo_to_dict(gate.tcp_dsn)
            gate.cancels.are_kept = True
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
            writer.write(REQUEST)
            await asyncio.sleep(0.05)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    asyncio.run(run())


def test_the_client_is_let_go_where_there_is_no_server() -> None:
    async def run() -> None:
        async with Gate.open("host=127.0.0.1 port=1 dbname=d user=u") as gate:
            where = conninfo_to_dict(gate.tcp_dsn)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
            writer.write(REQUEST)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    asyncio.run(run())
