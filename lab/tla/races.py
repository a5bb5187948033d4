"""Scenarios and protocols in the words of the TLA+ specification."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.tla.values import parse, write_value
from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    WINDOW,
    Actor,
    Client,
    Command,
    Holder,
    Leaving,
    Prepared,
    Scenario,
    Sweeper,
    Tick,
)

_LEAVING = {
    Leaving.VOIDED: "voided",
    Leaving.ONLY_LOCKED: "only locked",
    Leaving.ROLLED_BACK: "rolled back",
}
_PREPARED = {
    Prepared.NOTHING: "NoPayment",
    Prepared.CREATED: "PendingPayment",
    Prepared.AUTHORIZED: "AuthorizedPayment",
}
_TICKS = (-1, 0)
"""Where the clock goes, in µs from the window's end: one instant of the specification is one µs."""

_CONFIGURATION = """\
SPECIFICATION {specification}
CONSTANTS
    MinAmount = 1
    MaxAmount = 1000
    MaxWindow = 1000
    Programs <- ScenarioPrograms
    Prepared <- {prepared}
    Locking = {locking}
    LookUp = {look_up}
    Clock = {clock}
    Constraints = {constraints}
    EagerWake = TRUE
    MaxFaults = 0
"""
_CONSTANT = re.compile(r"^\s*(\w+) (?:=|<-) (.+?)\s*$", re.MULTILINE)


class NotModelledError(ValueError):
    """A scenario or a run that the specification has no words for; the message says what is missing."""


@dataclass(frozen=True)
class Protocol:
    """The protocol that a run is compared with: the one of the service, or a weakened one.

    Attributes:
        locking: whether the lock statement locks the row.
        look_up: where the key is looked up.
        clock: where the clock is read.
        constraints: whether the schema refuses what the code must not do.
    """

    locking: bool = True
    look_up: str = "after the lock"
    clock: str = "after the lock"
    constraints: bool = True


def constants_of(configuration: Path) -> dict[str, str]:
    """What a model of races gives each constant, and each definition that it overrides."""
    return dict(_CONSTANT.findall(configuration.read_text()))


def protocol_of(configuration: Path) -> Protocol:
    """The protocol of a model of races."""
    constants = constants_of(configuration)
    return Protocol(*(parse(constants[name]) for name in ("Locking", "LookUp", "Clock", "Constraints")))


def configuration(scenario: Scenario, protocol: Protocol, specification: str) -> str:
    """The configuration of a race behind the gate: waiters go on at once and in turn, and nothing goes wrong.

    Args:
        scenario: what is raced; a module defines its processes as ``ScenarioPrograms``.
        protocol: the protocol of the service.
        specification: the name of the formula that says what a behaviour is.
    """
    configured = _CONFIGURATION.format(
        specification=specification,
        prepared=_PREPARED[scenario.prepared],
        locking=write_value(protocol.locking),
        look_up=write_value(protocol.look_up),
        clock=write_value(protocol.clock),
        constraints=write_value(protocol.constraints),
    )
    return configured + ("    BeginsAt <- Window\n" if scenario.past_window else "")


def programs_of(scenario: Scenario) -> str:
    """What the processes of a scenario do, as the specification's text.

    Raises:
        NotModelledError: one does what the specification does not have.
    """
    return "Race(<<" + ", ".join(_program(actor) for actor in scenario.actors) + ">>)"


def _program(actor: Actor) -> str:
    match actor:
        case Client(commands):
            return f"Client(<<{', '.join(map(_command, commands))}>>)"
        case Holder(leaving):
            return f"Holds({write_value(_LEAVING[leaving])})"
        case Sweeper():
            return "Sweeps"
        case Tick(offset):
            if offset not in _TICKS:
                raise NotModelledError(
                    f"the specification has no instant {offset:+} µs from the window's end"
                )
            return f"Ticks({offset})"


def _command(command: Command) -> str:
    match command.f:
        case "capture" if command.payment == 0:
            key, amount = command.arguments["key"], command.arguments["amount"]
            return f"CaptureOf({write_value(key)}, Price + {amount - AMOUNT})"
        case "authorize" if command.arguments["window"] == WINDOW:
            return '[f |-> "authorize", window |-> Window]'
        case "create" if command.payment == 0:
            return f'[f |-> "create", amount |-> Price + {command.arguments["amount"] - AMOUNT}]'
        case "fail":
            return f'[f |-> "fail", reason |-> {write_value(command.arguments["reason"])}]'
        case "read":
            return '[f |-> "read"]'
    raise NotModelledError(f"the specification has no command like {command.name}")
