"""The races of the TLA+ specification that have one request for each client, and its models' protocols."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.proof.few import Client, Race
from lab.proof.vocabulary import Clock, LookUp, Options, Row
from lab.tla.races import constants_of

PRICE, WINDOW = 500, 2
FAULTS = ("cut", "lose the answer", "lose the creation's answer", "crash")
STANDBY_FAULTS = ("give up waiting", "fail over")
PENDING = Row("pending", PRICE, 0, 0, 0, "none")
AUTHORIZED = Row("authorized", PRICE, 0, WINDOW, 0, "none")

_PREPARED: Mapping[str, Mapping[int, Row]] = {
    "NoPayment": {},
    "PendingPayment": {0: PENDING},
    "AuthorizedPayment": {0: AUTHORIZED},
}
_BEGINS: Mapping[str, int] = {"0": 0, "Window": WINDOW}
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_REPLICATED = "Replicated"


def _capture(key: str, amount: int = PRICE) -> Client:
    return Client("capture", key, amount)


def _create(amount: int = PRICE) -> Client:
    return Client("create", amount=amount)


_TICK, _SWEEP, _AUTHORIZE = Client("tick", to=WINDOW), Client("sweep"), Client("authorize")

RACES: Mapping[str, Sequence[Client]] = {
    "same-key-twice": [_capture("k1"), _capture("k1")],
    "different-keys": [_capture("k1"), _capture("k2")],
    "same-key-different-amounts": [_capture("k1"), _capture("k1", PRICE + 1)],
    "capture-and-void": [_capture("k1"), Client("fail")],
    "authorize-twice": [_AUTHORIZE, _AUTHORIZE],
    "capture-during-authorize": [_AUTHORIZE, _capture("k1")],
    "different-keys-and-tick": [_capture("k1"), _capture("k2"), _TICK],
    "three-captures": [_capture("k1"), _capture("k2"), _capture("k3")],
    "capture-and-sweep": [_capture("k1"), _TICK, _SWEEP],
    "sweeps-and-tick": [_SWEEP, _TICK, _SWEEP],
    "two-sweepers": [_SWEEP, _SWEEP],
    "window-closes-behind-update": [_capture("k1"), Client("void"), _TICK],
    "window-closes-behind-lock": [_capture("k1"), Client("only_lock"), _TICK],
    "window-closes-behind-rollback": [_capture("k1"), Client("roll_back"), _TICK],
    "capture-and-ticks": [_capture("k1"), Client("tick", to=WINDOW - 1), _TICK],
    "create-twice": [_create(), _create()],
    "create-different": [_create(), _create(PRICE + 1), _AUTHORIZE],
    "capture-while-created": [_create(), _AUTHORIZE, _capture("k1")],
    "clock-set-back": [_capture("k1"), _SWEEP, _TICK, Client("tick", to=0)],
}
"""Who races, by the race's name there."""


@dataclass(frozen=True)
class ModelRace:
    """A model of the specification, in the words of the proof.

    Attributes:
        race: who races, and how often something may go wrong.
        options: the protocol.
        faults: what may go wrong.
        replicated: whether there is a standby.
    """

    race: Race
    options: Options
    faults: Sequence[str]
    replicated: bool


def race_name_of(configuration: Path) -> str:
    """The name of a model's race; the model may be a weakened one of it."""
    return _CAPITAL.sub("-", constants_of(configuration)["Programs"]).lower()


def race_of(configuration: Path, module: str = "Races") -> ModelRace:
    """The race of a model.

    Args:
        configuration: the model's file.
        module: the module that it is of.
    """
    constants = constants_of(configuration)

    def holds(name: str, otherwise: str = "TRUE") -> bool:
        return constants.get(name, otherwise) == "TRUE"

    replicated = module == _REPLICATED
    race = Race(
        RACES[race_name_of(configuration)],
        _PREPARED[constants["Prepared"]],
        WINDOW,
        faults=int(constants["MaxFaults"]),
        constraints=holds("Constraints"),
        begins=_BEGINS[constants.get("BeginsAt", "0")],
    )
    options = Options(
        locking=holds("Locking"),
        look_up=LookUp(constants["LookUp"].strip('"')),
        clock=Clock(constants["Clock"].strip('"')),
        constraints=race.constraints,
        sweeper_locks=holds("SweeperLocks"),
        key_with_capture=holds("KeyWithCapture"),
        commit_last=holds("CommitLast"),
        replays_wait=holds("ReplaysWait"),
        clock_steps_back=holds("ClockStepsBack", "FALSE"),
    )
    return ModelRace(race, options, (*FAULTS, *(STANDBY_FAULTS if replicated else ())), replicated)
