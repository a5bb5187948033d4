"""The clients of the systems that are examined."""

import ssl
import time
from collections.abc import Mapping

import certifi
import httpx

_IDLE_S = 2.0
"""Servers keep idle connections longer, often 5 s: a request on one that just then ends gets no answer."""
_LATE_S = 1.0
"""What is sent so long after its connection was chosen may come to one that has ended: it is sent again."""


class _Transport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sending = _Sending()
        request.extensions = {**request.extensions, "trace": sending.trace}
        try:
            return await super().handle_async_request(request)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if not sending.was_late_on_a_kept_connection:
                raise
            return await super().handle_async_request(request)
        except AttributeError as error:
            # anyio over uvloop asks a connection that its peer has closed at once for an address.
            raise httpx.ReadError(f"the connection was closed as it was opened ({error})") from error


class _Sending:
    """How a request went out: over which connection, and how long after that had been chosen."""

    def __init__(self) -> None:
        self._chosen_at = time.monotonic()
        self._late_s = 0.0
        self._is_new = False

    @property
    def was_late_on_a_kept_connection(self) -> bool:
        """Whether this process stood still meanwhile: the server may have closed what it took for idle."""
        return not self._is_new and self._late_s > _LATE_S

    async def trace(self, event: str, _details: object) -> None:
        """Be told by httpcore what it does."""
        if event == "connection.connect_tcp.started":
            self._is_new = True
        elif event == "http11.send_request_headers.started":
            self._late_s = time.monotonic() - self._chosen_at


def http_client(
    base_url: str = "",
    *,
    limit_s: float,
    headers: Mapping[str, str] | None = None,
    connections_kept: int = 0,
) -> httpx.AsyncClient:
    """A client that goes to the system directly, and takes nothing from the environment.

    A proxy, a password or a certificate that a variable names would change what is examined.

    Args:
        base_url: what the paths of its requests are under.
        limit_s: how long each step of a request may take, in seconds.
        headers: of every request.
        connections_kept: how many idle connections it keeps for the next requests.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx's own obeys SSLKEYLOGFILE
    if base_url.startswith("https:"):
        tls.load_verify_locations(certifi.where())
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=connections_kept, keepalive_expiry=_IDLE_S
    )
    transport = _Transport(verify=tls, limits=limits, trust_env=False)
    return httpx.AsyncClient(
        base_url=base_url, timeout=limit_s, headers=headers, trust_env=False, transport=transport
    )
