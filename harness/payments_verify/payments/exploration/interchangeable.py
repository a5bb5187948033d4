"""Which clients of a scenario are interchangeable: those that do the same but for keys that they alone use.

They are not if their commands differ in anything else, as in the instance that is asked, or if somebody else
uses one's key and not the other's. Nor are actors that are no clients: ticks, sweeps, sessions outside the
service. Where faults are injected, nobody is: a fault belongs to one actor's statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from payments_verify.payments.observed.observations import Observation
from payments_verify.payments.races.result import Exchange, RaceResult
from payments_verify.payments.scenarios.catalogue import Actor, Client, Scenario
from pgweave.interleavings.symmetry import Renaming, Symmetry


def interchangeable(scenario: Scenario) -> Symmetry | None:
    """Return which clients of a scenario are interchangeable; ``None`` if none are."""
    users = Counter(key for actor in scenario.actors for key in dict.fromkeys(_keys(actor)))
    own = [[key for key in dict.fromkeys(_keys(actor)) if users[key] == 1] for actor in scenario.actors]
    alike: dict[Hashable, list[int]] = {}
    for process, actor in enumerate(scenario.actors):
        if isinstance(actor, Client):
            alike.setdefault(_program(actor, own[process]), []).append(process)
    groups = tuple(tuple(each) for each in alike.values() if len(each) > 1)
    if not groups:
        return None
    return Symmetry(groups, {process: own[process] for group in groups for process in group}, _outcomes)


def _keys(actor: Actor) -> list[str]:
    commands = actor.commands if isinstance(actor, Client) else ()
    return [command.arguments["key"] for command in commands if "key" in command.arguments]


def _program(actor: Client, own: Sequence[str]) -> Hashable:
    """What a client does, with numbers for its own keys."""
    return tuple(
        (
            command.f,
            command.payment,
            command.instance,
            tuple(sorted(_numbered(command.arguments, own).items())),
        )
        for command in actor.commands
    )


def _numbered(arguments: Mapping[str, Any], own: Sequence[str]) -> Mapping[str, Any]:
    key = arguments.get("key")
    return {**arguments, "key": (own.index(key), "")} if key in own else arguments


def _outcomes(raced: RaceResult, renaming: Renaming) -> tuple[Any, ...]:
    """The outcomes of a run in which actors are in each other's place."""
    operations = sorted(raced.operations, key=lambda operation: renaming.process(operation.process))
    after = tuple(_with_keys(exchange, renaming) for exchange in raced.after)
    return replace(raced, operations=tuple(operations), after=after).outcomes


def _with_keys(exchange: Exchange, renaming: Renaming) -> Exchange:
    value = exchange.observation.value
    if "attempts" not in value:
        return exchange
    attempts = [{**each, "key": renaming.text(each["key"])} for each in value["attempts"]]
    return replace(
        exchange, observation=Observation(exchange.observation.kind, {**value, "attempts": attempts})
    )
