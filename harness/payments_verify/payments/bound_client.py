"""A client that speaks another service's HTTP, as a binding file says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID, uuid5

import httpx
import msgspec

from payments_model import Outcome
from payments_verify.payments.binding import Answer, Binding, BindingFileError, CommandBinding, Flag
from payments_verify.payments.http_binding import (
    BindingError,
    Http,
    Response,
    Wire,
    instant,
    whole,
    with_page,
)
from payments_verify.payments.observations import OUTCOME_NAMED, Invocation, Observation, View, answered

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = UUID("5f3c1f04-8b0e-4a83-9c5f-9e1f2d6a7b10")
_WHOLE = re.compile(r"\{(\w+)\}")
_WINDOW_UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
_NO_SUCH_ID = 2_000_000_000
"""Where ids begin that no service has given out, and that an integer of 32 bits still holds."""
_ABSENT = object()
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "pending": ("amount",),
    "authorized": ("amount", "authorized_at", "capture_expires_at"),
    "captured": ("amount", "authorized_at", "capture_expires_at", "captured_at", "captured_amount"),
    "failed": ("amount", "authorized_at", "capture_expires_at", "failed_at", "reason"),
}
_ALL_FIELDS = tuple(dict.fromkeys(name for names in _FIELDS.values() for name in names))


@dataclass
class Names:
    """What the service calls payments, and keys on the wire; shared by its clients."""

    payments: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BoundClient:
    """A client of a service with a binding.

    Attributes:
        http: carries its requests.
        binding: the service's interface.
        names: what the service calls things; one for all of its clients.
        dated: whether instants in answers are looked at.
    """

    http: Http
    binding: Binding
    names: Names = field(default_factory=Names)
    dated: bool = True

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command once. No answer, or a 5xx, is an unknown outcome.

        Raises:
            BindingError: if the answer is none that the binding knows.
        """
        method, path, headers, body = self.request_of(invocation)
        try:
            response = await self.http.request(method, path, headers=dict(headers), json=body)
            seen = self.observe(invocation, response)
            while invocation.f == "attempts" and seen.kind == "ok":
                following = self._next_request(invocation, response)
                if following is None:
                    break
                method, path = following
                response = await self.http.request(method, path, headers=dict(headers), json=None)
                seen = with_page(seen, self.observe(invocation, response))
        except httpx.TransportError as error:
            return Observation("unknown", {"error": type(error).__name__})
        return seen

    def id_of(self, payment: str) -> str:
        """The service's id of a payment; one that names nothing if it chooses ids and has not chosen this."""
        if self.binding.ids.chosen_by == "client" and self.binding.ids.kind == "uuid":
            return payment
        return self.names.payments.get(payment, self._nothing(payment))

    def request_of(self, invocation: Invocation) -> Wire:
        """The HTTP request of a command."""
        command = self._command(invocation.f)
        values = {name: self._written(name, value) for name, value in invocation.value.items()}
        body = None if command.body is None else filled(command.body, values)
        headers = {name: str(filled(text, values)) for name, text in command.headers.items()}
        return command.method, str(filled(f"{command.path}", values)), headers, body

    def observe(self, invocation: Invocation, response: Response) -> Observation:
        """What an HTTP response says in the model's terms.

        Raises:
            BindingError: if it is none that the binding knows.
        """
        if response.status_code >= 500:
            return Observation("unknown", {"status": response.status_code, "body": response.text})
        try:
            document = msgspec.json.decode(response.content) if response.content else None
            answer = self._answer(invocation.f, response.status_code, document)
            outcomes = [OUTCOME_NAMED[name] for name in answer.outcomes]
            seen = self._seen(invocation, outcomes[0], response, document)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise BindingError(
                f"{invocation.f} {dict(invocation.value)} got an answer that cannot be read ({error}): "
                f"{response.status_code} {response.text!r}"
            ) from error
        if len(outcomes) > 1:
            seen["also"] = [outcome.name.lower() for outcome in outcomes[1:]]
        return answered(outcomes[0], **seen)

    # ---- requests --------------------------------------------------------------------------------

    def _command(self, f: str) -> CommandBinding:
        try:
            return self.binding.commands[f]
        except KeyError:
            raise BindingError(f"the binding {self.binding.name!r} has no command {f!r}") from None

    def _nothing(self, payment: str) -> str:
        """An id of the right kind that names nothing."""
        if self.binding.ids.kind == "uuid":
            return payment
        return str(_NO_SUCH_ID + UUID(payment).int % 100_000_000)

    def _written(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        values = self.binding.values
        match name:
            case "payment":
                return self.id_of(value)
            case "key" if values.key == "uuid":
                written = str(uuid5(_KEYS, value))
                self.names.keys[written] = value
                return written
            case "window":
                return value // _WINDOW_UNITS[values.window]
            case "amount" if values.amount != "cents" and type(value) is int:
                decimal = Decimal(value).scaleb(-2)
                return f"{decimal:.2f}" if values.amount == "decimal text" else float(decimal)
            case "reason":
                return _theirs(self.binding.payment.reasons, value)
        return value

    # ---- answers ---------------------------------------------------------------------------------

    def _answer(self, f: str, status: int, document: Any) -> Answer:  # noqa: ANN401 - any JSON value
        for answer in (*self._command(f).answers, *self.binding.answers):
            if answer.status == status and all(
                _at(document, path, None) == wanted for path, wanted in answer.where.items()
            ):
                return answer
        raise ValueError("no answer of the binding has this status and body")

    def _seen(
        self,
        invocation: Invocation,
        outcome: Outcome,
        response: Response,
        document: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        f = invocation.f
        if f == "capture":
            return self._seen_of_capture(response, document)
        if response.status_code >= 400:
            return {}
        command = self._command(f)
        if command.id is not None and outcome in (Outcome.CREATED, Outcome.EXISTS):
            self.names.payments[invocation.value["payment"]] = str(_at(document, command.id))
        if f == "attempts":
            return {"attempts": self._attempts(document)}
        if not command.shows_payment:
            return {}
        seen: dict[str, Any] = {"payment": self._view(document)}
        as_of = self.binding.payment.as_of
        if as_of is not None and self.dated:
            seen["as_of"] = self._instant(_at(document, as_of))
        return seen

    def _seen_of_capture(self, response: Response, document: Any) -> dict[str, Any]:  # noqa: ANN401
        view = self.binding.capture
        seen: dict[str, Any] = {}
        if view.replayed is not None:
            seen["replayed"] = _flagged(view.replayed, response, document)
        if view.body == "same bytes":
            seen["body"] = response.text
        decided = (_at(document, path, None) for path in view.decided_at)
        first = next((each for each in decided if each is not None), None)
        if first is not None and self.dated:
            seen["decided_at"] = self._instant(first)
        return seen

    def _attempts(self, document: Any) -> list[View]:  # noqa: ANN401 - any JSON value
        view = self.binding.attempts
        assert view is not None
        return [self._attempt(each) for each in _at(document, view.items)]

    def _next_request(self, invocation: Invocation, response: Response) -> tuple[str, str] | None:
        """Method and path of the page after this one; nothing if it is the last."""
        view = self.binding.attempts
        if view is None or view.next is None or view.next_request is None:
            return None
        place = _at(msgspec.json.decode(response.content), view.next, None)
        if place is None or place == "":
            return None
        method, _, template = view.next_request.partition(" ")
        values = {"payment": self._written("payment", invocation.value["payment"])}
        return method, str(filled(template, values | {"next": quote(str(place), safe="")}))

    def _attempt(self, stored: Any) -> View:  # noqa: ANN401 - any JSON value
        view = self.binding.attempts
        assert view is not None
        key = str(_at(stored, view.key))
        shown: View = {"key": self.names.keys.get(key, key)}
        if view.amount is not None:
            shown["amount"] = self._amount(_at(stored, view.amount))
        if view.outcome is not None:
            named = _at(stored, view.outcome)
            shown["outcome"] = view.outcomes.get(named, named)
        if view.decided_at is not None and self.dated:
            shown["decided_at"] = self._instant(_at(stored, view.decided_at))
        return shown

    def _view(self, document: Any) -> View:  # noqa: ANN401 - any JSON value
        """The payment in a document, with the fields that its state has and the binding knows.

        Raises:
            ValueError: if a field is set that the state does not have.
        """
        view = self.binding.payment
        state = view.states[str(_at(document, view.state))]
        shown: View = {"state": state}
        for name in _ALL_FIELDS:
            path = getattr(view, name)
            if path is None:
                continue
            if name in _FIELDS[state]:
                if self.dated or not name.endswith("_at"):
                    shown[name] = self._value(name, _at(document, path))
            elif view.only_in_their_states and _at(document, path) is not None:
                raise ValueError(f"a {state} payment has no {name}")
        return shown

    def _value(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if name.endswith("_at"):
            return self._instant(value)
        if name == "reason":
            return self.binding.payment.reasons[value]
        return self._amount(value)

    def _amount(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if self.binding.values.amount == "cents":
            return whole(value)
        try:
            cents = Decimal(str(value)).scaleb(2)
        except InvalidOperation:
            raise ValueError(f"{value!r} is no amount") from None
        if cents != int(cents):
            raise ValueError(f"{value!r} is no whole number of cents")
        return int(cents)

    def _instant(self, value: Any) -> int:  # noqa: ANN401 - any JSON value
        if self.binding.values.instant == "rfc3339":
            return instant(value)
        return int(value) if isinstance(value, str) else whole(value)


def written_instant(us: int) -> datetime:
    """An instant in µs since the Unix epoch as PostgreSQL takes it."""
    return _EPOCH + timedelta(microseconds=us)


def from_environment(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with ``${NAME}`` replaced by the environment's variables.

    Raises:
        BindingFileError: if there is no such variable.
    """
    try:
        return {
            name: re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], text)
            for name, text in headers.items()
        }
    except KeyError as missing:
        raise BindingFileError(f"service.headers names the variable {missing}, which is not set") from None


def filled(template: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """A template with its placeholders filled; a text that is one placeholder becomes the value itself."""
    match template:
        case str():
            whole = _WHOLE.fullmatch(template)
            if whole is not None:
                return values[whole[1]]
            return _WHOLE.sub(lambda found: str(values[found[1]]), template)
        case dict():
            return {name: filled(each, values) for name, each in template.items()}
        case list():
            return [filled(each, values) for each in template]
    return template


def _theirs(names: Mapping[str, str], ours: str) -> str:
    return next((theirs for theirs, mapped in names.items() if mapped == ours), ours)


def _at(document: Any, path: str, default: Any = _ABSENT) -> Any:  # noqa: ANN401 - any JSON value
    """What stands in a document at a path of names.

    Raises:
        LookupError: there is nothing, and no default.
    """
    found = document
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            if default is not _ABSENT:
                return default
            raise LookupError(f"nothing stands at {path!r}")
        found = cast("Mapping[str, Any]", found)[name]
    return found


def _flagged(flag: Flag, response: Response, document: Any) -> bool:  # noqa: ANN401 - any JSON value
    if flag.header is not None:
        return response.headers.get(flag.header.lower()) == flag.value
    assert flag.member is not None
    return bool(_at(document, flag.member, None) == flag.value)
