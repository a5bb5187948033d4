"""What both clients do with httpx."""

import httpx

from payments_core.client.documents import Capture, CaptureDocument
from payments_core.client.requests import Call
from payments_core.client.retries import NoReply, Reply

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Larger answers are cut; the largest that the service gives is a list of all attempts of one payment."""

LIMITS = httpx.Limits(keepalive_expiry=2.0)
"""An idle connection is closed before the server closes it (after 5 s), and a request is lost in between."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_MISUSED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class AnswerTooLargeError(Exception):
    """The answer has more bytes than any that the service gives."""


class Collected:
    """An answer as it arrives.

    Args:
        response: its head.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._body = bytearray()

    def add(self, part: bytes) -> None:
        """More of the body.

        Raises:
            AnswerTooLargeError: it is too much.
        """
        self._body += part
        if len(self._body) > MAX_ANSWER_BYTES:
            raise AnswerTooLargeError

    def reply(self) -> Reply:
        """The answer, which is whole."""
        response = self._response
        return Reply(
            response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(self._body)
        )


def timeouts(limit_s: float) -> httpx.Timeout:
    """For each thing that an attempt waits for, as long as the attempt may take."""
    return httpx.Timeout(max(limit_s, 0.001))


def no_reply(error: Exception) -> NoReply:
    """Why there was no whole answer.

    Raises:
        httpx.TransportError: the client was used wrongly; trying again would not help.
    """
    if isinstance(error, _MISUSED):
        raise error
    return NoReply(f"no answer ({type(error).__name__})", was_sent=not isinstance(error, _NEVER_SENT))


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
