"""The requests of the commands, and what may be done with each when its answer is lost."""

import re
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar
from uuid import UUID, uuid4

import msgspec

from payments_core.client.documents import CaptureAttempts, CaptureDocument, Payment

Answer = TypeVar("Answer", bound=msgspec.Struct)

_KEY = re.compile(r"[ -~]{1,255}")
_TOKEN = re.compile(r"[!-~]+")


def new_key() -> str:
    """A new idempotency key. One that is stored before it is used survives the process that uses it."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One command, to be sent until it has a definite answer.

    Attributes:
        command: its name.
        payment_id: the payment.
        method: the HTTP method.
        path: where it is sent.
        successes: the statuses of a success.
        answer: the type of a success's body.
        body: the request's JSON; ``None`` if it has none.
        key: the idempotency key of a capture.
        is_repeatable: whether it may be sent again although it may have been carried out.
        has_effect: whether it changes anything.
        request_id: names all its attempts in the service's log.
    """

    command: str
    payment_id: UUID
    method: str
    path: str
    successes: tuple[int, ...]
    answer: type[Answer]
    body: bytes | None = None
    key: str | None = None
    is_repeatable: bool = True
    has_effect: bool = True
    request_id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def headers(self) -> dict[str, str]:
        """The header fields beside those of the connection; the answer's bytes are wanted as they are."""
        fields = {"Accept-Encoding": "identity", "X-Request-ID": self.request_id}
        if self.body is not None:
            fields["Content-Type"] = "application/json"
        if self.key is not None:
            fields["Idempotency-Key"] = _quoted(self.key)
        return fields


def create(amount_cents: int, payment_id: UUID | None) -> Call[Payment]:
    """Create a payment under an id of the client's own, so that it may be sent again."""
    chosen = payment_id or uuid4()
    return Call("create", chosen, "PUT", _path(chosen), (200, 201), Payment, _amount(amount_cents))


def authorize(payment_id: UUID, window_s: int) -> Call[Payment]:
    """Authorize a payment: has no key, so a lost answer is not asked for again."""
    body = msgspec.json.encode({"capture_window_seconds": window_s})
    path = _path(payment_id, "/authorize")
    return Call("authorize", payment_id, "POST", path, (200,), Payment, body, is_repeatable=False)


def capture(payment_id: UUID, amount_cents: int, key: str | None) -> Call[CaptureDocument]:
    """Capture a payment under a key, the same for every attempt.

    Raises:
        ValueError: the key has not 1 to 255 visible ASCII characters and spaces.
    """
    chosen = new_key() if key is None else key
    if not _KEY.fullmatch(chosen):
        raise ValueError("an idempotency key has 1 to 255 visible ASCII characters and spaces")
    path = _path(payment_id, "/captures")
    return Call(
        "capture", payment_id, "POST", path, (201,), CaptureDocument, _amount(amount_cents), key=chosen
    )


def fail(payment_id: UUID, reason: Literal["declined", "voided"]) -> Call[Payment]:
    """Fail a payment: has no key, so a lost answer is not asked for again."""
    body = msgspec.json.encode({"reason": reason})
    path = _path(payment_id, "/fail")
    return Call("fail", payment_id, "POST", path, (200,), Payment, body, is_repeatable=False)


def read(payment_id: UUID) -> Call[Payment]:
    """Read a payment."""
    return Call("read", payment_id, "GET", _path(payment_id), (200,), Payment, has_effect=False)


def captures(payment_id: UUID) -> Call[CaptureAttempts]:
    """Read every stored attempt to capture a payment."""
    path = _path(payment_id, "/captures")
    return Call("captures", payment_id, "GET", path, (200,), CaptureAttempts, has_effect=False)


def authorization(token: str | None) -> dict[str, str]:
    """The header field that presents a bearer token.

    Raises:
        ValueError: the token has a character that no token has; it is not shown.
    """
    if token is None:
        return {}
    if not _TOKEN.fullmatch(token):
        raise ValueError("a bearer token has visible ASCII characters only")
    return {"Authorization": f"Bearer {token}"}


def _path(payment_id: UUID, action: str = "") -> str:
    return f"/payments/{payment_id}{action}"


def _amount(cents: int) -> bytes:
    return msgspec.json.encode({"amount_cents": cents})


def _quoted(key: str) -> str:
    """A key as a quoted string (RFC 8941, section 3.3.3), which keeps the spaces at its ends."""
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'
