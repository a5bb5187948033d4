"""Scenarios: a payment, the clients that race for it, and the anomaly that a wrong service would show.

Each is a few lines, as PostgreSQL's isolation specs are: what must not happen, and who does what. Unless a
scenario says otherwise the payment is authorized, of 500 cents, with a window of 60 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

AMOUNT = 500
WINDOW = 60_000_000
"""The capture window of a scenario's payment, in µs."""


class Prepared(Enum):
    """How far the payment has come when the race begins."""

    NOTHING = 0
    CREATED = 1
    AUTHORIZED = 2


@dataclass(frozen=True)
class Command:
    """A command: its name, its arguments but the payment, which payment, and which instance is asked."""

    f: str
    arguments: Mapping[str, Any]
    payment: int = 0
    instance: int = 0

    @property
    def name(self) -> str:
        """What it asks, for people."""
        asked = " ".join([self.f, *(str(value) for value in self.arguments.values())])
        numbers = {"payment": self.payment, "instance": self.instance}
        shown = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
        return asked + (f" ({shown})" if shown else "")


@dataclass(frozen=True)
class Client:
    """A client of the service that sends one command after the other."""

    commands: tuple[Command, ...]

    @property
    def name(self) -> str:
        """Its commands, for people."""
        return ", then ".join(command.name for command in self.commands)


class Leaving(Enum):
    """How a session outside the service gives a payment's lock back."""

    VOIDED = "voids it and commits"
    ONLY_LOCKED = "commits, with nothing changed"
    ROLLED_BACK = "voids it and rolls back"


@dataclass(frozen=True)
class Holder:
    """A session outside the service that locks the payment's row, and how it leaves it."""

    leaving: Leaving

    @property
    def name(self) -> str:
        """What it does, for people."""
        return f"a session locks the row, {self.leaving.value}"


@dataclass(frozen=True)
class Tick:
    """The database's clock moves to the end of a payment's window and ``offset`` µs, at any point."""

    offset: int = 0
    payment: int = 0

    @property
    def name(self) -> str:
        """Where the clock goes, for people."""
        whose = f" of payment {self.payment}" if self.payment else ""
        return f"clock to the window's end{whose}" + (f" {self.offset:+} µs" if self.offset else "")


@dataclass(frozen=True)
class Sweeper:
    """One batch of the expiry sweep."""

    name = "sweep"


Actor: TypeAlias = Client | Holder | Tick | Sweeper


@dataclass(frozen=True)
class Scenario:
    """A race.

    Attributes:
        name: its name.
        anomaly: what a wrong service would do.
        actors: who takes part; each is a process of the schedule.
        prepared: how far the payment has come before.
        waited: for how long the clock has moved on since, in µs.
        further: what was done after that.
        invariants: the ids of those that a service with the anomaly breaks; and always I10.
    """

    name: str
    anomaly: str
    actors: tuple[Actor, ...]
    prepared: Prepared = Prepared.AUTHORIZED
    waited: int = 0
    further: tuple[Command | Sweeper, ...] = ()
    invariants: tuple[str, ...] = ()

    @property
    def past_window(self) -> bool:
        """Whether the clock stands at the window's end, or behind it, when the race begins."""
        return self.waited >= WINDOW

    @property
    def instances(self) -> int:
        """How many instances of a service its clients ask."""
        return 1 + max(instances_of(self.actors))


def capture(key: str, amount: int = AMOUNT, payment: int = 0, instance: int = 0) -> Command:
    """A capture of so many cents."""
    return Command("capture", {"key": key, "amount": amount}, payment, instance)


def client(*commands: Command) -> Client:
    """A client."""
    return Client(commands)


def instances_of(actors: Iterable[Actor]) -> list[int]:
    """The instances that are asked in a race; and the first, which is asked before and after it."""
    commands = (command for each in actors if isinstance(each, Client) for command in each.commands)
    return sorted({0, *(command.instance for command in commands)})


VOID = Command("fail", {"reason": "voided"})
AUTHORIZE = Command("authorize", {"window": WINDOW})
CREATE = Command("create", {"amount": AMOUNT})
READ = Command("read", {})

_ALL = (
    Scenario(
        "same-key-twice",
        "A client that has heard nothing sends its capture again: it is decided twice.",
        (client(capture("k1")), client(capture("k1"))),
        invariants=("I3", "I10"),
    ),
    Scenario(
        "different-keys",
        "Two captures with keys of their own both succeed.",
        (client(capture("k1")), client(capture("k2"))),
        invariants=("I1", "I6", "I10"),
    ),
    Scenario(
        "different-keys-and-tick",
        "The window closes while two captures race: one is decided by the time of before it waited.",
        (client(capture("k1")), client(capture("k2")), Tick()),
        invariants=("I1", "I5", "I10"),
    ),
    Scenario(
        "three-captures",
        "A third capture overtakes the second in the queue for the lock, and what the first left is lost.",
        (client(capture("k1")), client(capture("k2")), client(capture("k3"))),
        invariants=("I1", "I10"),
    ),
    Scenario(
        "same-key-different-amounts",
        "One key is accepted for two requests.",
        (client(capture("k1")), client(capture("k1", AMOUNT + 1))),
        invariants=("I4", "I10"),
    ),
    Scenario(
        "capture-and-void",
        "A payment is captured and voided.",
        (client(capture("k1")), client(VOID)),
        invariants=("I2", "I10", "I11"),
    ),
    Scenario(
        "capture-and-sweep",
        "A payment is captured, and then expired by a sweep that had seen it authorized.",
        (client(capture("k1")), Tick(), Sweeper()),
        invariants=("I2", "I5", "I10"),
    ),
    Scenario(
        "two-sweepers",
        "Two sweeps expire one payment, or wait for each other.",
        (Sweeper(), Sweeper()),
        waited=WINDOW,
        invariants=("I9", "I10"),
    ),
    Scenario(
        "authorize-twice",
        "A second authorization moves the window.",
        (client(AUTHORIZE), client(AUTHORIZE)),
        prepared=Prepared.CREATED,
        invariants=("I2", "I10", "I11"),
    ),
    Scenario(
        "window-closes-behind-update",
        "A capture waits for a session that voids the payment while the window closes, and succeeds.",
        (client(capture("k1")), Holder(Leaving.VOIDED), Tick()),
        invariants=("I2", "I5", "I10"),
    ),
    Scenario(
        "window-closes-behind-lock",
        "A capture waits for a session that only locks while the window closes, and succeeds all the same.",
        (client(capture("k1")), Holder(Leaving.ONLY_LOCKED), Tick()),
        invariants=("I5", "I10"),
    ),
    Scenario(
        "window-closes-behind-rollback",
        "A capture waits for a session that rolls back while the window closes, and succeeds all the same.",
        (client(capture("k1")), Holder(Leaving.ROLLED_BACK), Tick()),
        invariants=("I5", "I10"),
    ),
    Scenario(
        "capture-and-ticks",
        "A capture in the last µs of the window is refused, or one at its end succeeds.",
        (client(capture("k1")), Tick(-1), Tick()),
        invariants=("I5", "I10"),
    ),
    Scenario(
        "read-while-captured",
        "A read shows a state that never was, or goes back behind one that an earlier read has shown.",
        (client(capture("k1")), client(READ, READ), Tick()),
        invariants=("I8", "I10"),
    ),
    Scenario(
        "create-twice",
        "Two creations under one id make two payments, or fail.",
        (client(CREATE), client(CREATE)),
        prepared=Prepared.NOTHING,
        invariants=("I2", "I9", "I10"),
    ),
    Scenario(
        "capture-during-authorize",
        "A capture succeeds on a payment that was not authorized when it was decided.",
        (client(AUTHORIZE), client(capture("k1"))),
        prepared=Prepared.CREATED,
        invariants=("I2", "I10"),
    ),
    Scenario(
        "retry-while-under-way",
        "A client gives up waiting and repeats its capture on another connection, then once more.",
        (client(capture("k1")), client(capture("k1"), capture("k1"))),
        invariants=("I3", "I9", "I10"),
    ),
    Scenario(
        "four-captures",
        "Among four captures more than one succeeds.",
        (client(capture("k1")), client(capture("k2")), client(capture("k3")), client(capture("k4"))),
        invariants=("I1", "I10"),
    ),
)

ONE_CAPTURE = Scenario(
    "one-capture",
    "A capture that was answered is lost, or one that was not heard is made twice.",
    (client(capture("k1")),),
    invariants=("I7", "I10"),
)
"""No race: for faults, which need none."""

VOID_AND_SWEEP = Scenario(
    "void-and-sweep",
    "A payment is voided, and then expired by a sweep that is tried again with what it had found due.",
    (client(VOID), Sweeper()),
    waited=WINDOW + 1,  # so that it is seen whether it failed now, or when its window ended
)
"""For faults, after which a sweep is tried again."""

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""Every scenario, by name, in the order in which they are run."""
