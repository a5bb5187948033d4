"""The binding between the model's commands and this service's HTTP: paths, fields, statuses, problem types.

A service with another interface needs another binding, and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

import httpx
import msgspec

from payments_model import Outcome
from payments_verify.payments.observations import Invocation, Observation, View, answered

_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_PROBLEMS = {
    "invalid_request": Outcome.MALFORMED,
    "payment_not_found": Outcome.NOT_FOUND,
    "payment_id_conflict": Outcome.ID_CONFLICT,
    "idempotency_key_reused": Outcome.KEY_REUSED,
    "not_authorized": Outcome.NOT_AUTHORIZED,
    "already_authorized": Outcome.ALREADY_AUTHORIZED,
    "already_captured": Outcome.ALREADY_CAPTURED,
    "payment_failed": Outcome.PAYMENT_FAILED,
    "capture_window_expired": Outcome.WINDOW_EXPIRED,
    "capture_window_open": Outcome.WINDOW_OPEN,
    "amount_mismatch": Outcome.AMOUNT_MISMATCH,
    "too_many_refusals": Outcome.TOO_MANY_REFUSALS,
}
_SUCCESS = {
    ("create", 201): Outcome.CREATED,
    ("create", 200): Outcome.EXISTS,
    ("authorize", 200): Outcome.AUTHORIZED,
    ("capture", 201): Outcome.CAPTURED,
    ("fail", 200): Outcome.FAILED,
    ("read", 200): Outcome.READ,
    ("attempts", 200): Outcome.READ,
}
CAPTURE_OUTCOMES = {"captured": Outcome.CAPTURED} | _PROBLEMS
_FIELDS = {
    "pending": ("amount",),
    "authorized": ("amount", "authorized_at", "capture_expires_at"),
    "captured": ("amount", "authorized_at", "capture_expires_at", "captured_at", "captured_amount"),
    "failed": ("amount", "authorized_at", "capture_expires_at", "failed_at", "reason"),
}
_NAMES = {"amount": "amount_cents", "captured_amount": "captured_amount_cents", "reason": "failure_reason"}


class BindingError(ValueError):
    """An answer that this binding cannot read: the service breaks its own contract."""


Wire: TypeAlias = tuple[str, str, Mapping[str, str], Mapping[str, Any] | None]
"""Method, path, headers and JSON body of a request."""


def request_of(invocation: Invocation) -> Wire:
    """The HTTP request of a command."""
    value = invocation.value
    path = f"/payments/{value['payment']}"
    match invocation.f:
        case "create":
            return "PUT", path, {}, {"amount_cents": value["amount"]}
        case "authorize":
            seconds = {"capture_window_seconds": value["window"] // _SECOND}
            return "POST", f"{path}/authorize", {}, seconds
        case "capture":
            body = {"amount_cents": value["amount"]}
            return "POST", f"{path}/captures", {"Idempotency-Key": value["key"]}, body
        case "fail":
            return "POST", f"{path}/fail", {}, {"reason": value["reason"]}
        case "read":
            return "GET", path, {}, None
        case "attempts":
            return "GET", f"{path}/captures", {}, None
        case other:
            raise BindingError(f"no request is known for the command {other!r}")


def observe(invocation: Invocation, response: Response) -> Observation:
    """What an HTTP response says in the model's terms.

    Raises:
        BindingError: if it is none that the service's contract allows.
    """
    if response.status_code >= 500:
        return Observation("unknown", {"status": response.status_code, "body": response.text})
    try:
        document = msgspec.json.decode(response.content)
        outcome = _outcome(invocation.f, response.status_code, document)
        return answered(outcome, **_seen(invocation.f, response, document))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise BindingError(
            f"{invocation.f} {dict(invocation.value)} got an answer that cannot be read ({error!r}): "
            f"{response.status_code} {response.text!r}"
        ) from error


def _outcome(f: str, status: int, document: Mapping[str, Any]) -> Outcome:
    if status >= 400:
        if document["status"] != status:
            raise ValueError("the problem's status is not the response's")
        return _PROBLEMS[document["type"].removeprefix("/problems/")]
    return _SUCCESS[f, status]


def _seen(f: str, response: Response, document: Mapping[str, Any]) -> dict[str, Any]:
    if f == "capture":
        seen: dict[str, Any] = {
            "replayed": response.headers.get("idempotent-replayed") == "true",
            "body": response.text,
        }
        decided = document.get("captured_at") or document.get("decided_at")
        return seen if decided is None else seen | {"decided_at": instant(decided)}
    if response.status_code >= 400:
        return {}
    if f == "attempts":
        return {"attempts": [_attempt(each) for each in document["captures"]]}
    return {"payment": _view(document), "as_of": instant(document["as_of"])}


def _attempt(stored: Mapping[str, Any]) -> View:
    return {
        "key": stored["idempotency_key"],
        "amount": whole(stored["amount_cents"]),
        "outcome": CAPTURE_OUTCOMES[stored["outcome"]].name.lower(),
        "decided_at": instant(stored["decided_at"]),
    }


def _view(document: Mapping[str, Any]) -> View:
    """The payment in a document, with exactly the fields that its state has.

    Raises:
        ValueError: if a field is set that the state does not have.
    """
    state = document["state"]
    wanted = {name: document[_NAMES.get(name, name)] for name in _FIELDS[state]}
    others = {n for names in _FIELDS.values() for n in names} - set(wanted)
    stray = [name for name in others if document[_NAMES.get(name, name)] is not None]
    if stray:
        raise ValueError(f"a {state} payment has no {', '.join(sorted(stray))}")
    return {"state": state} | {name: _field(name, value) for name, value in wanted.items()}


def _field(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if name.endswith("_at"):
        return instant(value)
    return value if name == "reason" else whole(value)


def whole(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """A whole number as JSON has it: 1000.0 is 1000, and ``true`` is none.

    Raises:
        ValueError: it is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def instant(text: str) -> int:
    """An RFC 3339 instant as µs since the Unix epoch."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _following(response: Response) -> str | None:
    """Where the next page of a list begins, if there is one."""
    following: str | None = msgspec.json.decode(response.content).get("next")
    return following


def with_page(seen: Observation, page: Observation) -> Observation:
    """The attempts of the pages so far and of one more. What is not whole is no answer.

    Raises:
        BindingError: if the page shows nothing new: there may be no end of such pages.
    """
    if page.kind != "ok":
        return page
    known = {each["key"] for each in seen.value["attempts"]}
    if not page.value["attempts"] or any(each["key"] in known for each in page.value["attempts"]):
        raise BindingError(f"a page of attempts after {len(known)} others shows nothing new")
    return answered(Outcome.READ, attempts=[*seen.value["attempts"], *page.value["attempts"]])


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


class Http(Protocol):
    """What carries requests: an ``httpx.AsyncClient`` with its base URL and time limit, or the like."""

    def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Awaitable[Response]:
        """Send a request; ``httpx.TransportError`` if there is no whole answer."""


@dataclass(frozen=True)
class PaymentsClient:
    """A client of the service that turns commands into observations.

    Attributes:
        http: carries its requests.
    """

    http: Http

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command once. No answer, or a 5xx, is an unknown outcome.

        Raises:
            BindingError: if the answer is none that the service's contract allows.
        """
        method, path, headers, body = request_of(invocation)
        try:
            response = await self.http.request(method, path, headers=dict(headers), json=body)
            seen = observe(invocation, response)
            while invocation.f == "attempts" and seen.kind == "ok" and (after := _following(response)):
                response = await self.http.request(method, f"{path}?after={after}", headers={}, json=None)
                seen = with_page(seen, observe(invocation, response))
        except httpx.TransportError as error:
            return Observation("unknown", {"error": type(error).__name__})
        return seen
