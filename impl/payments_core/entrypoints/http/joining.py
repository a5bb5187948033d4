"""A transport that sends the head and the body of an answer together."""

import asyncio
from typing import Any

_HEAD, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"


class JoiningTransport:
    """Keeps the head of an answer until its body comes, so that both are one system call and one packet.

    Everything else it leaves to the transport.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, or keep for the next write or `flush`."""
        if not self._head and data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._head = data
            return
        # A body that is the same for everybody stays one, however many do not read it. An empty part is none:
        # since Python 3.12 asyncio keeps it for good, and never closes the connection.
        self._transport.writelines([part for part in (self._head, data) if part])
        self._head = b""

    def flush(self) -> None:
        """Write the head that is kept."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write the head that is kept, and close."""
        self.flush()
        self._transport.close()
