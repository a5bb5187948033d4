"""A transport whose requests have one deadline.

httpx limits each read, and a server that sends a byte now and then is never late.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator

import httpcore
import httpx

from payments_client.wire import LIMITS


class DeadlineTransport(httpx.BaseTransport):
    """A pool of connections; a request's time-out is for all that it waits for, together.

    It raises the errors of httpcore.

    Args:
        tls: whom to trust.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._deadline = _Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=LIMITS.max_connections,
            max_keepalive_connections=LIMITS.max_keepalive_connections,
            keepalive_expiry=LIMITS.keepalive_expiry,
            network_backend=_Backend(self._deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer; the same thread reads the rest."""
        self._deadline.end = time.monotonic() + request.extensions["timeout"]["read"]
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.read(),
            extensions=request.extensions,
        )
        answer = self._pool.handle_request(sent)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Deadline(threading.local):
    """When the request that this thread has sent ends.

    Attributes:
        end: by ``time.monotonic``.
    """

    end: float = 0.0

    def left(self, late: type[Exception]) -> float:
        """The seconds that are left, more than 0; raises ``late`` if there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise late("the time is up")
        return left


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline is for all
        return self._stream.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(self, host: str, port: int, *_limits: object, **_named: object) -> httpcore.NetworkStream:
        """Connect to the first of a host's addresses that answers, within the deadline for all of them.

        One that is silent leaves each of those after it as much time as it had.
        """
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        addresses = _addresses(host, port)
        for following, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = self._deadline.left(httpcore.ConnectTimeout) / following
            try:
                return _Stream(super().connect_tcp(address, port, share), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return [str(address[0]) for *_, address in found]
