"""The scenarios by name: those that are written, and those that are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from payments_verify.payments.inputs.classes import SHARED_KEY
from payments_verify.payments.scenarios.catalogue import (
    AUTHORIZE,
    CREATE,
    ONE_CAPTURE,
    READ,
    SCENARIOS,
    VOID,
    VOID_AND_SWEEP,
    WINDOW,
    Actor,
    Client,
    Prepared,
    Scenario,
    Sweeper,
    Tick,
    capture,
    client,
)

_INSTANCES = 2

CROSSED = tuple(
    replace(each, name=f"{each.name}-and-tick", actors=(*each.actors, Tick()), invariants=())
    for each in SCENARIOS.values()
    if len(each.actors) < 3 and not each.past_window
    if f"{each.name}-and-tick" not in SCENARIOS and not any(isinstance(a, Tick) for a in each.actors)
)
"""Scenarios while the window ends: for faults, after which a command is decided anew."""

SINGLE = (
    ONE_CAPTURE,
    Scenario(
        "one-create",
        "A creation that was answered is lost, or one that was not heard cannot be asked for again.",
        (client(CREATE),),
        prepared=Prepared.NOTHING,
    ),
    Scenario(
        "one-authorize",
        "An authorization that was answered is lost, or one that was not heard is made twice.",
        (client(AUTHORIZE),),
        prepared=Prepared.CREATED,
    ),
    Scenario(
        "one-void",
        "A void that was answered is lost, or one that was not heard leaves a payment half voided.",
        (client(VOID),),
    ),
    Scenario(
        "one-sweep",
        "A sweep that was not heard leaves a payment half expired, or cannot be run again.",
        (Sweeper(),),
        waited=WINDOW,
    ),
)
"""No races: for faults, which need none."""

LARGER = tuple(
    Scenario(
        f"{name}-captures",
        f"Among {name} captures more than one succeeds.",
        tuple(client(capture(f"k{each}")) for each in range(1, count + 1)),
    )
    for name, count in (("five", 5), ("six", 6), ("seven", 7), ("eight", 8))
)
"""Up to symmetry they have 90 classes of schedules to 3,432, without it 10,800 to 138 millions."""

READ_WHILE_CREATED = Scenario(
    "read-while-created",
    "A read does not know of a payment whose creation was answered, because one before it did not.",
    (client(CREATE), client(READ, READ)),
    prepared=Prepared.NOTHING,
)
"""For two instances, of which one may remember what there was not."""


ONE_KEY_TWO_PAYMENTS = Scenario(
    "one-key-two-payments",
    "A key that is the whole account's captures two payments, each of which looked it up before.",
    (client(capture(SHARED_KEY)), client(capture(SHARED_KEY, payment=1))),
)
"""For services whose keys are the account's; where a key is a payment's, both succeed."""


def _by_turns(actors: tuple[Actor, ...]) -> Iterator[Actor]:
    """The actors, of whom each client asks another instance; the first one that does not sweep."""
    instance = 0
    for each in actors:
        if isinstance(each, Client):
            instance = (instance + 1) % _INSTANCES
            yield client(*(replace(command, instance=instance) for command in each.commands))
        else:
            yield each


def _on_two_instances(scenario: Scenario) -> Scenario:
    actors = tuple(_by_turns(scenario.actors))
    return replace(scenario, name=f"{scenario.name}-on-two-instances", actors=actors, invariants=())


def _meet_on_two(scenario: Scenario) -> bool:
    """Whether two of a service's actors meet, one of them a client: then each has an instance to itself."""
    own = [each for each in scenario.actors if isinstance(each, Client | Sweeper)]
    return len(own) == _INSTANCES and any(isinstance(each, Client) for each in own)


ON_TWO_INSTANCES = tuple(
    map(_on_two_instances, filter(_meet_on_two, (*SCENARIOS.values(), VOID_AND_SWEEP, READ_WHILE_CREATED)))
)
"""Scenarios of which each client asks another instance, whose memory the others do not see."""

OTHERS_ON_TWO_INSTANCES = tuple(
    each
    for each in ON_TWO_INSTANCES
    if each.name.removesuffix("-on-two-instances") in ("same-key-twice", "different-keys", "capture-and-void")
)
"""Those of them in which two processes of somebody else's service are examined."""

ONE_CAPTURE_ON_TWO_INSTANCES = _on_two_instances(ONE_CAPTURE)
"""For faults: a client that has no answer asks the other instance."""

NAMED: Mapping[str, Scenario] = {
    **SCENARIOS,
    **{
        each.name: each
        for each in (
            *SINGLE,
            VOID_AND_SWEEP,
            READ_WHILE_CREATED,
            ONE_KEY_TWO_PAYMENTS,
            *CROSSED,
            *LARGER,
            *ON_TWO_INSTANCES,
            ONE_CAPTURE_ON_TWO_INSTANCES,
        )
    },
}
"""Every scenario that a schedule may be of."""
