"""Valid captures at a steady pace, each of a payment of its own and on a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import msgspec

from lab.bench.service.database import AMOUNT_CENTS, FIRST_ID, IDS, SPREAD

LIMIT_S = 5.0
"""How long a client waits for an answer; one that comes later is none."""
_NONE = "none"


class Load(msgspec.Struct, frozen=True):
    """What became of the captures.

    Attributes:
        outcomes: how often each status was answered; ``none`` for no answer in time.
        latencies: of those that were captured, from when each was to be sent, in µs, in order.
    """

    outcomes: dict[str, int]
    latencies: list[int]

    @property
    def offered(self) -> int:
        """How many captures were sent."""
        return sum(self.outcomes.values())

    @property
    def captured(self) -> int:
        """How many were answered with a capture."""
        return len(self.latencies)

    def percentile(self, share: float) -> int | None:
        """The time in which this share of the captured was answered, in µs; None if there is none."""
        return self.latencies[int(share * (len(self.latencies) - 1))] if self.latencies else None


def payment(number: int) -> str:
    """The id of a payment, by its number in the database."""
    return str(UUID(f"{FIRST_ID + number * SPREAD % IDS}".ljust(32, "0")))


async def offer(port: int, token: str, numbers: Iterable[int], per_second: float) -> Load:
    """Capture payments, so many a second, however long each takes."""
    outcomes: Counter[str] = Counter()
    latencies: list[int] = []
    began = time.monotonic()

    async def one(at: float, number: int) -> None:
        await asyncio.sleep(at - time.monotonic())
        try:
            async with asyncio.timeout(LIMIT_S):
                status = await _capture(port, token, number)
        except (OSError, TimeoutError):
            status = _NONE
        outcomes[status] += 1
        if status == "201":
            latencies.append(round((time.monotonic() - at) * 1e6))

    async with asyncio.TaskGroup() as clients:
        for index, number in enumerate(numbers):
            clients.create_task(one(began + index / per_second, number))
    return Load(dict(outcomes), sorted(latencies))


async def _capture(port: int, token: str, number: int) -> str:
    body = b'{"amount_cents":%d}' % AMOUNT_CENTS
    head = (
        f"POST /payments/{payment(number)}/captures HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {token}\r\nIdempotency-Key: {number}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    return answer[9:12].decode() or _NONE
