"""What a server does with a connection after it has answered is no answer to the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from payments_verify.binding import default_binding
from payments_verify.payments.observed.observations import Invocation
from payments_verify.systems import service_at

READ = Invocation("read", {"payment": "00000000-0000-4000-8000-000000000000"})


async def fail_twice() -> list[Mapping[str, Any]]:
    """Two requests to a server that says 500, keeps the connection, and hangs up on the next one."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops")
            await reader.read(1)

    async with await asyncio.start_server(once, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with service_at(url, default_binding()) as system:
            answers = [(await system.clients[0].send(READ)).value for _ in range(2)]
        await asyncio.sleep(0.05)  # for the server to see the last connection's end
        return answers


def test_no_connection_is_used_twice() -> None:
    assert asyncio.run(fail_twice()) == [{"status": 500, "body": "oops"}] * 2
