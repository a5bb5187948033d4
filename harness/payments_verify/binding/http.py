"""What a client needs of whatever carries its requests: HTTP over a socket, or calls of an application."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

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


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NotJsonError(ValueError):
    """A body that is no JSON, or nested too deeply to be read."""


def document_of(response: Response) -> Any:  # noqa: ANN401 - any JSON value
    """What a response's body says; ``None`` if it has none.

    Raises:
        NotJsonError: it is no JSON.
    """
    content = response.content.removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(content) if content else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJsonError(str(error)) from error


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
