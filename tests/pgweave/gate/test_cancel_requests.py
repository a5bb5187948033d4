"""A request to cancel ends for its client when the server has ended it: nothing later is cancelled."""

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


def test_the_client_is_let_go_where_there_is_no_server() -> None:
    async def run() -> None:
        async with Gate.open("host=127.0.0.1 port=1 dbname=d user=u") as gate:
            where = conninfo_to_dict(gate.tcp_dsn)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(str(where["port"])))
            writer.write(REQUEST)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    asyncio.run(run())
