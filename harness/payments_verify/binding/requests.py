"""The requests of commands, as a binding says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import UUID, uuid5

from payments_verify.binding.http import HttpRequest, Response, document_of
from payments_verify.binding.sections import Binding, RequestSection
from payments_verify.binding.values import MICROSECONDS, value_at, write_amount
from payments_verify.payments.inputs.classes import SHARED_KEY
from payments_verify.payments.observed.observations import Invocation, UnreadableAnswerError

_KEYS = UUID("5f3c1f04-8b0e-4a83-9c5f-9e1f2d6a7b10")
_PLACEHOLDER = re.compile(r"(\$?)\{(\w+)\}")
_NO_SUCH_ID = 2_000_000_000
"""Where ids begin that no service has given out, and that an integer of 32 bits still holds."""

_Fill: TypeAlias = Callable[[Mapping[str, Any]], Any]


@dataclass
class Names:
    """What the service calls payments, keys in requests, and what came before them; shared by its clients.

    Attributes:
        payments: the service's ids of payments, where it chooses them.
        keys: the harness's keys, by what is sent for them.
        saved: what the answers to ``setup`` have named.
        saved_for: the same before each payment was created.
    """

    payments: dict[str, str | int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str | int] = field(default_factory=dict)
    saved_for: dict[str, dict[str, str | int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RequestWriter:
    """Writes the requests of commands.

    Attributes:
        binding: the service's interface.
        names: what the service calls things.
    """

    binding: Binding
    names: Names

    def write(self, invocation: Invocation) -> HttpRequest:
        """The request of a command.

        Raises:
            UnreadableAnswerError: the binding does not have the command.
        """
        try:
            write = self._commands[invocation.f]
        except KeyError:
            missing = f"the binding {self.binding.name!r} has no command {invocation.f!r}"
            raise UnreadableAnswerError(missing) from None
        values = {name: self._written(name, value) for name, value in invocation.value.items()}
        if "key" in values and self.binding.key_form is not None:
            values["key"] = self._key(invocation.value["payment"], invocation.value["key"])
        if "key" in values and self.binding.values.key == "quoted text":
            values["key"] = _key_field(values["key"], is_quoted=invocation.quotes_key)
        payment = invocation.value["payment"]
        return write({**self.names.saved, **self.names.saved_for.get(payment, {}), **values})

    def write_next_page(self, invocation: Invocation, response: Response) -> tuple[str, str] | None:
        """Method and path of the page after this one; ``None`` if it is the last."""
        view = self.binding.attempts
        if view is None or view.next is None or view.next_request is None:
            return None
        place = value_at(document_of(response), view.next, None)
        if place is None or place == "":
            return None
        method, _, path = view.next_request.partition(" ")
        values = {"payment": self.id_of(invocation.value["payment"]), "next": place}
        return method, _compile_target(path)(values)

    def id_of(self, payment: str) -> str:
        """The service's id of a payment; one that names nothing if it chooses ids and has not chosen this."""
        return str(self._sent_id(payment))

    def _sent_id(self, payment: str) -> str | int:
        """The same as a body has it: a number where the service has given one, or wants one."""
        ids = self.binding.ids
        if ids.chosen_by == "service" and payment in self.names.payments:
            return self.names.payments[payment]
        form = ids.form or {"uuid": "{uuid}", "integer": "{number}", "text": "{hex}"}[ids.kind]
        made = written_as(form, UUID(payment))
        return int(made) if form == "{number}" and ids.kind == "integer" else made

    @cached_property
    def _commands(self) -> Mapping[str, Callable[[Mapping[str, Any]], HttpRequest]]:
        return {f: writer_of(command) for f, command in self.binding.commands.items()}

    def _key(self, payment: str, key: str) -> str:
        """A key of the form that the service wants; of an account's, another for each payment."""
        assert self.binding.key_form is not None
        is_shared = self.binding.keys.scope == "payment" or key.startswith(SHARED_KEY)
        named = key if is_shared else f"{payment} {key}"
        written = written_as(self.binding.key_form, uuid5(_KEYS, named))[: self.binding.keys.length]
        self.names.keys[written] = key
        return written

    def _written(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        values = self.binding.values
        match name:
            case "payment":
                return self._sent_id(value)
            case "window":
                return value // MICROSECONDS[values.window]
            case "amount" if type(value) is int:
                return write_amount(value, values)
            case "reason":
                reasons = self.binding.payment.reasons.items()
                return next((theirs for theirs, ours in reasons if ours == value), value)
        return value


def written_as(form: str, uuid: UUID) -> str:
    """An id or a key of a form, another one for each UUID."""
    parts = {"uuid": str(uuid), "hex": uuid.hex, "number": str(_NO_SUCH_ID + uuid.int % 100_000_000)}
    return _PLACEHOLDER.sub(lambda found: parts[found[2]], form)


def _key_field(key: str, *, is_quoted: bool) -> str:
    """A key as a header has it: bare where it can be, unless a quoted string (RFC 8941) is wanted."""
    if is_quoted or key != key.strip(" ") or key.startswith('"'):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return key


def writer_of(request: RequestSection) -> Callable[[Mapping[str, Any]], HttpRequest]:
    """What writes a request with its placeholders filled."""
    target = _compile_target(request.path)
    headers = {name: compile_template(text) for name, text in request.headers.items()}
    body = compile_template(request.body)

    def write(values: Mapping[str, Any]) -> HttpRequest:
        written = {name: str(fill(values)) for name, fill in headers.items()}
        return request.method, target(values), written, body(values)

    return write


def _compile_target(template: str) -> Callable[[Mapping[str, Any]], str]:
    """What fills the placeholders of a path and a query: each is one segment, or one value."""

    def filled(values: Mapping[str, Any]) -> str:
        return _PLACEHOLDER.sub(
            lambda found: os.environ[found[2]] if found[1] else quote(str(values[found[2]]), safe=""),
            template,
        )

    return filled


def compile_template(template: Any) -> _Fill:  # noqa: ANN401 - any JSON value
    """What fills a template's placeholders; a text that is one placeholder becomes the value itself."""
    match template:
        case str():
            whole = _PLACEHOLDER.fullmatch(template)
            if whole is not None and not whole[1]:
                return itemgetter(whole[2])
            return lambda values: _PLACEHOLDER.sub(
                lambda found: os.environ[found[2]] if found[1] else str(values[found[2]]), template
            )
        case dict():
            members = {name: compile_template(each) for name, each in template.items()}
            return lambda values: {name: fill(values) for name, fill in members.items()}
        case list():
            items = [compile_template(each) for each in template]
            return lambda values: [fill(values) for fill in items]
    return lambda _values: template
