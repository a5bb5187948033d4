"""What an attack is given, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
        port: of the service, on 127.0.0.1.
        token: one that the service accepts, for attackers who are clients.
        dsn: of its database, as its owner, for what is done there.
        payment: the id of an authorized payment that no valid capture is for.
    """

    port: int
    token: str
    dsn: str
    payment: str


@dataclass(frozen=True)
class Told:
    """How an attack and the measurement hear of each other."""

    under_way: Event
    over: Event

    def is_under_way(self) -> None:
        """Say that the measurement may begin."""
        self.under_way.set()

    def is_over(self, wait_s: float = 0.0) -> bool:
        """Whether the measurement has ended; waits for that so long."""
        return self.over.wait(wait_s)


@dataclass(frozen=True)
class Attack:
    """Something that a stranger or a tired client does to others.

    Attributes:
        run: does it; None for nothing, to compare with.
        settings: of the service, beside the token.
        files: how many files the service may have open; None for as many as here.
    """

    run: Callable[[Target, Told], None] | None
    settings: Mapping[str, str] = field(default_factory=dict)
    files: int | None = None
