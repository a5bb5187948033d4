"""The clients of the systems that are examined."""

import ssl
from collections.abc import Mapping

import certifi
import httpx


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
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=connections_kept)
    return httpx.AsyncClient(
        base_url=base_url, timeout=limit_s, limits=limits, headers=headers, trust_env=False, verify=tls
    )
