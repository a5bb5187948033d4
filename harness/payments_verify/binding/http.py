"""What a client needs of whatever carries its requests: HTTP over a socket, or calls of an application."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

HttpRequest: TypeAlias = tuple[str, str, Mapping[str, str], Mapping[str, Any] | None]
"""Method, path, headers and JSON body of a request."""


class Response(Protocol):
    """A response: an ``httpx.Response``, or the like; its headers are found by name in lower case."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields."""

    @property
    def content(self) -> bytes:
        """The body."""

    @property
    def text(self) -> str:
        """The body as text."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole response.

    Attributes:
        status_code: the status.
        headers: by name, in lower case.
        content: the body.
    """

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()


class Http(Protocol):
    """What carries requests: an ``httpx.AsyncClient`` with its base URL and time limit, or the like."""

    def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Awaitable[Response]:
        """Send a request; ``httpx.TransportError`` if there is no whole answer."""
