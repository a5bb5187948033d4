"""The commands of a service in which clients hang up, and those in which none does, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    AUTHORIZE,
    CREATE,
    READ,
    VOID,
    Command,
    capture,
)

_CAPTURE = capture("k1")
_ANOTHER_AMOUNT = capture("k1", AMOUNT + 1)
_ATTEMPTS = Command("attempts", {})


@dataclass(frozen=True)
class HangUp:
    """What is asked before a client hangs up, and in which command it does."""

    before: Sequence[Command]
    command: Command


_AUTHORIZED = (CREATE, AUTHORIZE)
_ALL: Mapping[str, HangUp] = {
    "create": HangUp((), CREATE),
    "authorize": HangUp((CREATE,), AUTHORIZE),
    "capture": HangUp(_AUTHORIZED, _CAPTURE),
    "refused capture": HangUp(_AUTHORIZED, _ANOTHER_AMOUNT),
    "repeated capture": HangUp((*_AUTHORIZED, _CAPTURE), _CAPTURE),
    "void": HangUp(_AUTHORIZED, VOID),
    "read": HangUp(_AUTHORIZED, READ),
    "attempts": HangUp(_AUTHORIZED, _ATTEMPTS),
}


def hang_ups(traits: Traits) -> dict[str, HangUp]:
    """The commands of a service in which clients hang up, by what they are called.

    Args:
        traits: what the service has; what it authorizes with a creation is not asked for.
    """
    opening = {f for f, _ in traits.opening("", AMOUNT, 0)}
    return {
        name: HangUp([each for each in found.before if _is_asked(each, opening)], found.command)
        for name, found in _ALL.items()
        if _lack(found, traits) is None
    }


def never_hung_up(traits: Traits) -> Iterator[str]:
    """The commands of a service in which no client hangs up, each with what the service lacks, for people."""
    for name, found in _ALL.items():
        lack = _lack(found, traits)
        if lack is not None:
            yield f"clients that hang up in {name} (level 5): the binding lacks {lack}"


def _is_asked(command: Command, opening: set[str]) -> bool:
    return command.f != AUTHORIZE.f or command.f in opening


def _lack(found: HangUp, traits: Traits) -> str | None:
    if found.command.f not in traits.commands:
        return f"commands.{found.command.f}"
    if found.command is _ANOTHER_AMOUNT and not traits.captures_amounts:
        return "{amount} in commands.capture"
    return None
