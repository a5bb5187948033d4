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
        self.is_closing = transport.is_closing
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the transport's
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or keep for the next write or `flush`."""
        head, self._head = self._head, b""
        if head and data:  # a body that is the same for everybody stays one, however many do not read it
            self._transport.writelines([head, data])
        elif not head and data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._head = data
        elif head or data:  # since Python 3.12 asyncio keeps an empty part, and never closes the connection
            self._transport.write(head or data)

    def flush(self) -> None:
        """Write the head that is kept."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write the head that is kept, and close."""
        self.flush()
        self._transport.close()
