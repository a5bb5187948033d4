"""The HTTP of a service with a binding, kept so that what went wrong can be told as requests."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from payments_verify.binding import Binding
from payments_verify.payments.observations import Invocation, Observation, Sender, UnreadableAnswerError
from pgweave.service.exchange import exchanges_kept

_VARIABLE = re.compile(r"\$\{(\w+)\}")


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


def secrets_of(binding: Binding) -> Mapping[str, str]:
    """The values of the environment's variables that a binding names, each with its variable."""
    names = _VARIABLE.findall(msgspec.json.encode(binding).decode())
    return {value: name for name in names if (value := os.environ.get(name, ""))}
