"""The HTTP of a service with a binding, kept so that what went wrong can be told as requests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec

from payments_verify.binding import Binding, Names
from payments_verify.binding.sections import RequestSection
from payments_verify.binding.variables import texts
from payments_verify.payments.observed.http_steps import credentials_in
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    Sender,
    UnreadableAnswerError,
)
from payments_verify.payments.service.under_test import SetUpError
from pgweave.redaction import redacted
from pgweave.service.exchange import exchanges_kept

_CREDENTIALS = re.compile(r"authorization|cookie|token|secret|api-?key|password|signature", re.IGNORECASE)
_SECRET = re.compile(r"token|secret|api[-_]?key|passw|credential|session|jwt", re.IGNORECASE)
_ABOUT_ONE = re.compile(
    r"ttl|timeout|seconds|minutes|hours|days|expir|lifetime|max_?age|algorithm|type", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SAVED = re.compile(r"(?<!\$)\{(\w+)\}")


@dataclass(frozen=True)
class KeepingSender:
    """Sends commands as another does, and gives the HTTP of each with what was observed.

    Attributes:
        sender: the other.
        secrets: the values that are not shown, by now, and the name of each.
    """

    sender: Sender
    secrets: Callable[[], Mapping[str, str]] = dict

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command once.

        Raises:
            UnreadableAnswerError: the answer cannot be read.
            SetUpError: what has to come before it was refused.
        """
        with exchanges_kept() as kept:
            try:
                observed = await self.sender.send(invocation)
            except UnreadableAnswerError as error:
                error.exchanges = tuple(kept)
                raise
            except SetUpError as error:
                told = redacted(str(error), self.secrets())
                raise SetUpError(told, has_failed=error.has_failed) from None
            return replace(observed, exchanges=tuple(kept))


def secrets_of(binding: Binding, saved: Mapping[str, str | int] | None = None) -> Mapping[str, str]:
    """The values in requests that are not shown, and the variable of the environment for each.

    They are those of variables that the binding names, of header fields that carry credentials, of members,
    parameters and variables that are named as such, and of a session: what answers have named that
    ``service.headers`` have.

    Args:
        binding: the service's interface.
        saved: what the answers to ``setup`` have named.
    """
    saved = saved or {}
    names = _VARIABLE.findall(msgspec.json.encode(binding).decode())
    secrets = {value: name for name in names if (value := os.environ.get(name, ""))}
    of_session = {named for text in binding.service.headers.values() for named in _SAVED.findall(text)}
    for name, value in _credentials(binding):
        if not _SAVED.search(value) and not _VARIABLE.search(value):
            shown = re.sub(r"\W", "_", name).upper()
            _add(secrets, value, shown)
            _add(secrets, (value.split() or [""])[-1], shown)
        of_session.update(_SAVED.findall(value))
    of_session.update(
        name for step in binding.setup for name, path in step.save.items() if _SECRET.search(f"{name} {path}")
    )
    for name in sorted(of_session & saved.keys()):
        _add(secrets, str(saved[name]), name.upper())
    return secrets


def _credentials(binding: Binding) -> Iterator[tuple[str, str]]:
    """The texts of a binding that are credentials by their names, each with its name."""
    requests: list[RequestSection] = [*binding.commands.values(), *binding.setup]
    requests += [] if binding.sweep is None or binding.sweep.request is None else [binding.sweep.asked]
    for headers in (binding.service.headers, *(each.headers for each in requests)):
        yield from (pair for pair in headers.items() if _CREDENTIALS.search(pair[0]))
    named = [*binding.service.environment.items()]
    for each in requests:
        named += [(re.split(r"[.\[]", where)[-1], text) for where, text in texts(each.body)]
        named += parse_qsl(urlsplit(each.path).query)
    yield from (pair for pair in named if _SECRET.search(pair[0]) and not _ABOUT_ONE.search(pair[0]))


def session_secrets(binding: Binding, names: Names) -> dict[str, str]:
    """The same with those of a session, by now, and of what came before each payment."""
    secrets = dict(secrets_of(binding, names.saved))
    for saved in list(names.saved_for.values()):
        for value, name in secrets_of(binding, saved).items():
            _add(secrets, value, name)
    return secrets


def _add(secrets: dict[str, str], value: str, name: str) -> None:
    """Each has a name of its own: it is a variable in the lines that send requests again."""
    if value and value not in secrets:
        used = set(secrets.values())
        numbered = (f"{name}_{number}" for number in count(2))
        secrets[value] = next(each for each in chain([name], numbered) if each not in used)


def learn_credentials(http: httpx.AsyncClient, secrets: dict[str, str]) -> None:
    """Add what a client sends as a credential or a cookie, whoever has set it, to the known secrets."""

    async def learn(request: httpx.Request) -> None:
        for value, name in credentials_in((name.decode(), value) for name, value in request.headers.raw):
            secrets.setdefault(value, name)

    http.event_hooks["request"].append(learn)
