"""The load at a rate keeps to it, and a server that stands still is late for whoever comes meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from lab.bench.service.load import PROGRAM, Load, send
from lab.bench.service.measuring import OPEN_CONNECTIONS
from lab.bench.service.results import percentile

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="needs wrk, as the benchmark does"),
]

RATE, SECONDS = 400, 4


@contextmanager
def answering(pause: float) -> Iterator[str]:
    """A server that answers captures at once, but for one pause of so many seconds in the middle."""
    loop, began = asyncio.new_event_loop(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not began.is_set():
            began.set()
            loop.call_later(SECONDS / 2, stand_still)
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                await reader.readexactly(int(fields[b"Content-Length"]))
                await paused.wait()
                writer.write(
                    b"HTTP/1.1 201 \r\nx-request-id: %s\r\ncontent-length: 0\r\n\r\n"
                    % fields[b"X-Request-ID"]
                )

    def stand_still() -> None:
        paused.clear()
        loop.call_later(pause, paused.set)

    paused = asyncio.Event()
    paused.set()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


def paced(pause: float, connections: int = OPEN_CONNECTIONS) -> Load:
    with answering(pause) as url:
        return send(url, "paced.lua", ["token", "0", str(RATE)], seconds=SECONDS, connections=connections)


def test_as_many_are_sent_as_were_to_be() -> None:
    load = paced(0)
    assert load.per_second == pytest.approx(RATE, rel=0.1)
    assert percentile(load.latencies, 0.5) < 5_000


@pytest.mark.parametrize("connections", [OPEN_CONNECTIONS, 4])
def test_who_comes_while_nobody_is_answered_is_late(connections: int) -> None:
    """Also those who were not sent meanwhile, as no connection was free."""
    load = paced(0.8, connections)
    assert load.per_second == pytest.approx(RATE, rel=0.1)
    late = [latency for latency in load.latencies if latency > 100_000]
    assert len(late) == pytest.approx(0.7 * RATE, rel=0.25)  # all that came in the first 0.7 s of it
    assert max(load.latencies) == pytest.approx(800_000, rel=0.1)
