"""The requests of the commands, and what may be done with each when its answer is lost."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec

from payments_client.documents import CaptureAttempt, CaptureAttempts, CaptureDocument, Payment, expect

Answer = TypeVar("Answer", bound=msgspec.Struct)

_KEY = re.compile(r"[ -~]{1,255}")
_PAGE = 200
_MOST_ATTEMPTS = 100_000  # of one payment; versions without a bound on refusals may have left so many
_TOKEN = re.compile(r"[!-~]+")


REQUEST_IDS = "payments-client-"
"""How the ids of requests begin: one that does not is somebody else's, of a proxy for example."""


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
        hold: holds a success's document, and its status, against what was asked; raises `UnbelievableError`.
        body: the request's JSON; ``None`` if it has none.
        key: the idempotency key of a capture.
        is_repeatable: whether it may be sent again although it may have been carried out.
        has_effect: whether it changes anything.
        largest_answer: how many bytes of an answer are read.
        request_id: names all its attempts in the service's log.
    """

    command: str
    payment_id: UUID
    method: str
    path: str
    successes: tuple[int, ...]
    answer: type[Answer]
    hold: Callable[[Answer, int], None]
    body: bytes | None = None
    key: str | None = None
    is_repeatable: bool = True
    has_effect: bool = True
    largest_answer: int = 64 * 1024
    request_id: str = field(default_factory=lambda: f"{REQUEST_IDS}{uuid4().hex}")

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
    chosen = uuid4() if payment_id is None else payment_id

    def hold(payment: Payment, status: int) -> None:
        expect("id", payment.id, chosen)
        expect("amount_cents", payment.amount_cents, amount_cents)
        if status == 201:
            expect("state", payment.state, "pending")

    return Call("create", chosen, "PUT", _path(chosen), (200, 201), Payment, hold, _amount(amount_cents))


def authorize(payment_id: UUID, window_s: int) -> Call[Payment]:
    """Authorize a payment: has no key, so a lost answer is not asked for again."""
    body = msgspec.json.encode({"capture_window_seconds": window_s})
    path = _path(payment_id, "/authorize")

    def hold(payment: Payment, _status: int) -> None:
        expect("id", payment.id, payment_id)
        expect("state", payment.state, "authorized")
        assert payment.capture_expires_at is not None
        assert payment.authorized_at is not None
        window = payment.capture_expires_at - payment.authorized_at
        expect("the capture window in µs", window // timedelta(microseconds=1), window_s * 1_000_000)

    return Call("authorize", payment_id, "POST", path, (200,), Payment, hold, body, is_repeatable=False)


def capture(payment_id: UUID, amount_cents: int, key: str | None) -> Call[CaptureDocument]:
    """Capture a payment under a key, the same for every attempt.

    Raises:
        ValueError: the key has not 1 to 255 visible ASCII characters and spaces.
    """
    chosen = new_key() if key is None else key
    if not _KEY.fullmatch(chosen):
        raise ValueError("an idempotency key has 1 to 255 visible ASCII characters and spaces")
    path, body = _path(payment_id, "/captures"), _amount(amount_cents)

    def hold(document: CaptureDocument, _status: int) -> None:
        expect("payment_id", document.payment_id, payment_id)
        expect("amount_cents", document.amount_cents, amount_cents)

    return Call("capture", payment_id, "POST", path, (201,), CaptureDocument, hold, body, key=chosen)


def fail(payment_id: UUID, reason: Literal["declined", "voided"]) -> Call[Payment]:
    """Fail a payment: has no key, so a lost answer is not asked for again."""
    body = msgspec.json.encode({"reason": reason})
    path = _path(payment_id, "/fail")

    def hold(payment: Payment, _status: int) -> None:
        expect("id", payment.id, payment_id)
        expect("state", payment.state, "failed")
        expect("failure_reason", payment.failure_reason, reason)

    return Call("fail", payment_id, "POST", path, (200,), Payment, hold, body, is_repeatable=False)


def read(payment_id: UUID) -> Call[Payment]:
    """Read a payment."""

    def hold(payment: Payment, _status: int) -> None:
        expect("id", payment.id, payment_id)

    return Call("read", payment_id, "GET", _path(payment_id), (200,), Payment, hold, has_effect=False)


def captures(
    payment_id: UUID, found: tuple[CaptureAttempt, ...] = (), after: str | None = None
) -> Call[CaptureAttempts]:
    """Read a page of the stored attempts to capture a payment.

    Args:
        payment_id: the payment.
        found: the attempts of the pages before.
        after: what the page before named as the next.
    """

    def hold(page: CaptureAttempts, _status: int) -> None:
        """An attempt does not say whose it is. Pages are not without end, and show no attempt twice."""
        known = {each.idempotency_key for each in found}
        expect("attempts shown twice", sum(each.idempotency_key in known for each in page.captures), 0)
        expect("an empty page before the last", page.next is not None and not page.captures, False)
        expect("more attempts than there can be", len(found) > _MOST_ATTEMPTS, False)

    query = f"?limit={_PAGE}" + ("" if after is None else f"&after={quote(after, safe='')}")
    return Call(
        "captures",
        payment_id,
        "GET",
        _path(payment_id, "/captures") + query,
        (200,),
        CaptureAttempts,
        hold,
        has_effect=False,
        largest_answer=256 * 1024,
    )


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
    if not isinstance(payment_id, UUID):
        raise TypeError(f"payment_id is a uuid.UUID, not a {type(payment_id).__name__}")
    return f"/payments/{payment_id}{action}"


def _amount(cents: int) -> bytes:
    return msgspec.json.encode({"amount_cents": cents})


def _quoted(key: str) -> str:
    """A key as a quoted string (RFC 8941, section 3.3.3), which keeps the spaces at its ends."""
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'
