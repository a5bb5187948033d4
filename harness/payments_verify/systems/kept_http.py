"""The HTTP of a service with a binding, kept so that what went wrong can be told as requests."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from payments_verify.binding import Binding
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    Sender,
    UnreadableAnswerError,
)
from pgweave.service.exchange import exchanges_kept

_CREDENTIALS = re.compile(r"authorization|cookie|token|secret|api-?key|password|signature", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SAVED = re.compile(r"(?<!\$)\{(\w+)\}")


@dataclass(frozen=True)
class KeepingSender:
    """Sends commands as another does, and gives the HTTP of each with what was observed.

    Attributes:
        sender: the other.
    """

    sender: Sender

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command once.

        Raises:
            UnreadableAnswerError: the answer cannot be read.
        """
        with exchanges_kept() as kept:
            try:
                observed = await self.sender.send(invocation)
            except UnreadableAnswerError as error:
                error.exchanges = tuple(kept)
                raise
            return replace(observed, exchanges=tuple(kept))


def secrets_of(binding: Binding, saved: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The values in requests that are not shown, and the variable of the environment for each.

    They are those of variables that the binding names, and of header fields that carry credentials.

    Args:
        binding: the service's interface.
        saved: what the answers to ``setup`` have named.
    """
    names = _VARIABLE.findall(msgspec.json.encode(binding).decode())
    secrets = {value: name for name in names if (value := os.environ.get(name, ""))}
    requests = [*binding.commands.values(), *binding.setup]
    fields = [binding.service.headers, *(request.headers for request in requests)]
    fields += [] if binding.sweep is None else [binding.sweep.headers]
    for name, value in (pair for each in fields for pair in each.items()):
        if not _CREDENTIALS.search(name):
            continue
        if not re.search(r"[{}]", value):
            secrets.setdefault(value, re.sub(r"\W", "_", name).upper())
        for named in _SAVED.findall(value):
            if saved and named in saved:
                secrets.setdefault(saved[named], named.upper())
    return secrets
