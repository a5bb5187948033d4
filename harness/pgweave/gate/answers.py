"""What a client is given of the server's answers: at once, later, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgweave.gate import wire
from pgweave.gate.altered import Altered

if TYPE_CHECKING:
    from pgweave.gate.statement import HeldStatement


@dataclass(slots=True)
class Expected:
    """An answer that is still to come: it ends with ReadyForQuery, or with a message of ``ends``."""

    with_sync: bool
    statement: HeldStatement | None
    ends: bytes = wire.ENDS_STATEMENT


class Answers:
    """The answers on one connection.

    Args:
        client: where they go.

    Attributes:
        are_kept: whether they wait in the gate until `deliver`.
        are_lost: whether the client is given none any more.
        altered: how the answer to the statement that is executed becomes another, if it does.
    """

    def __init__(self, client: asyncio.WriteTransport) -> None:
        self.are_kept = False
        self.are_lost = False
        self.altered: Altered | None = None
        self._client = client
        self._kept: list[bytes] = []
        self._frames = wire.Frames()

    def give(self, data: bytes, kinds: Container[int]) -> Sequence[tuple[int, bytes]]:
        """Take bytes of the server, and give the client what it is to see of them.

        Returns:
            Of the messages that it is given, those of these types.

        Raises:
            WireError: if they are no messages.
        """
        altered = self.altered
        data, shown = self._frames.feed(data, kinds if altered is None else wire.EVERY_KIND)
        if altered is not None:
            shown = list(altered.shown(shown))
            data = b"".join([message for _, message in shown])
        if self.are_kept:
            self._kept.append(data)
        elif data and not self.are_lost:
            self._client.write(data)
        return shown

    def deliver(self) -> None:
        """Give the client the answers that were kept, and keep no more."""
        self.are_kept = False
        if self._kept and not self.are_lost:
            self._client.write(b"".join(self._kept))
        self._kept.clear()
