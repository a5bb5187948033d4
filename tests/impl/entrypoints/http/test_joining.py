"""The head and the body of an answer go out together, and nothing goes out as a part of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from payments_core.entrypoints.http.joining import JoiningTransport

HEAD, INTERIM = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"


class Recorded(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[list[bytes]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append([bytes(data)])

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written.append([bytes(each) for each in list_of_data])

    def close(self) -> None:
        self.written.append([b"closed"])


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"body"], [[HEAD, b"body"], [b"closed"]]),
        ([HEAD, b"body", b"more"], [[HEAD, b"body"], [b"more"], [b"closed"]]),
        ([HEAD], [[HEAD], [b"closed"]]),
        ([HEAD, b""], [[HEAD], [b"closed"]]),
        ([INTERIM, HEAD, b"body"], [[INTERIM], [HEAD, b"body"], [b"closed"]]),
    ],
)
def test_what_is_written_is_what_is_sent(written: list[bytes], sent: list[list[bytes]]) -> None:
    recorded = Recorded()
    transport = JoiningTransport(recorded)
    for data in written:
        transport.write(data)
    transport.close()
    assert recorded.written == sent
