"""What both clients do with httpx: requests go to its transports directly.

Its clients would follow the environment's proxies, certificates and passwords, keep cookies, and unpack what
was compressed. None of that has a place between a program and its payments.
"""

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import certifi
import httpcore
import httpx

from payments_client.documents import Capture, CaptureDocument
from payments_client.replies import NoReply, Reply
from payments_client.requests import Call, authorization

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)
"""An idle connection is closed before the server closes it (after 5 s), and a request is lost in between."""

TOO_LATE = NoReply("no whole answer in time")

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
)
_LARGEST_PORT = 65_535
_MOST_PARTS = 4_096


Carrier = TypeVar("Carrier")


class UnreadableError(Exception):
    """The answer is encoded, or has more bytes, or in more parts, than any that the service gives."""


class Requests:
    """Makes the requests of one client.

    Args:
        base_url: where the service is.
        token: the bearer token, if the service wants one.

    Raises:
        ValueError: the URL or the token is none; neither is shown.
    """

    def __init__(self, base_url: str, token: str | None) -> None:
        self._base = _checked(base_url)
        self._fields = {"User-Agent": "payments-core", "Accept": "*/*", **authorization(token)}

    @property
    def is_encrypted(self) -> bool:
        """Whether they go over TLS."""
        return self._base.startswith("https:")

    def request(self, call: Call[Any], limit_s: float) -> httpx.Request:
        """The request of one attempt, which may take so many seconds."""
        most = max(limit_s, 0.001)
        # Nothing was sent where no connection came, and that is to be known before the time is up.
        limit = httpx.Timeout(most, connect=0.9 * most, pool=0.9 * most)
        return httpx.Request(
            call.method,
            self._base + call.path,
            headers={**self._fields, **call.headers},
            content=call.body,
            extensions={"timeout": limit.as_dict()},
        )


class OfProcess(Generic[Carrier]):
    """What carries the requests of one process: a child of a fork has its own, and leaves its parent's alone.

    Two processes that read from one connection would take each other's answers for their own.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], Carrier]) -> None:
        self._make = make
        # The parent's stays here: what is collected as garbage closes its connections.
        self._made = {os.getpid(): make()}

    def get(self) -> Carrier:
        """That of this process."""
        found = self.made()
        # If two threads come first, both get what one of them has made.
        return self._made.setdefault(os.getpid(), self._make()) if found is None else found

    def made(self) -> Carrier | None:
        """That of this process, if it has asked for it."""
        return self._made.get(os.getpid())


class Collected:
    """An answer as it arrives.

    Args:
        response: its head.
        largest: how many bytes its body may have.

    Raises:
        UnreadableError: it is encoded, which was not asked for, and can be small and grow.
    """

    def __init__(self, response: httpx.Response, largest: int) -> None:
        self._status = response.status_code
        self._fields: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
        self._largest = largest
        self._body = bytearray()
        self._parts = 0
        encoding = self._fields.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise UnreadableError

    def add(self, part: bytes) -> None:
        """More of the body.

        Raises:
            UnreadableError: it is too much, or comes in so many parts that to look at them takes long.
        """
        self._parts += 1
        if len(self._body) + len(part) > self._largest or self._parts > _MOST_PARTS:
            raise UnreadableError
        self._body += part

    def reply(self) -> Reply:
        """The answer, which is whole."""
        return Reply(self._status, self._fields, bytes(self._body))


def no_reply(error: Exception) -> NoReply:
    """Why there was no whole answer."""
    return NoReply(f"no answer ({type(error).__name__})", was_sent=not isinstance(error, _NEVER_SENT))


def trusted(*, is_encrypted: bool) -> ssl.SSLContext:
    """Whom to trust: certifi's roots. It reads no variables, as ``ssl.create_default_context`` does."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if is_encrypted:
        tls.load_verify_locations(certifi.where())
    return tls


def capture_of(call: Call[CaptureDocument], document: CaptureDocument, reply: Reply) -> Capture:
    """A capture that succeeded, with its key."""
    assert call.key is not None
    return Capture(
        payment_id=document.payment_id,
        amount_cents=document.amount_cents,
        captured_at=document.captured_at,
        key=call.key,
        replayed=reply.is_replay,
    )


def _checked(base_url: str) -> str:
    error = ValueError("base_url is http:// or https://, a host, and perhaps a port and a path")
    try:
        url = httpx.URL(base_url)
        url.raw_host.decode().encode("idna")  # as the resolution of names will, and fail for one too long
    except (httpx.InvalidURL, UnicodeError, TypeError):
        raise error from None
    is_whole = url.scheme in {"http", "https"} and url.host and (url.port or 0) <= _LARGEST_PORT
    if not is_whole or url.userinfo or url.query or url.fragment:
        raise error
    return str(url).rstrip("/")
