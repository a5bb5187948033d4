"""When the actors of an uncontrolled race begin: by a barrier, or by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from payments_verify.payments.scenarios.catalogue import Actor, Client

_MS = 1e-3


@dataclass(frozen=True)
class Arrivals:
    """How the beginnings of a race's actors are drawn.

    Attributes:
        name: what it is, for people.
        spread_ms: each actor begins within so many ms, any instant as likely as another.
        together: whether clients begin at one instant instead, the middle of that time.
        tries: how often a race is tried at most.
        held_ms: a session that takes a payment's lock keeps it for less than so many ms.
    """

    name: str
    spread_ms: float
    together: bool
    tries: int
    held_ms: float = 20.0

    def starts(self, actors: Sequence[Actor], rng: random.Random) -> list[float]:
        """When each actor begins, in seconds after the race's own beginning."""
        middle = self.spread_ms / 2
        return [
            _MS * (middle if self.together and isinstance(actor, Client) else rng.uniform(0, self.spread_ms))
            for actor in actors
        ]

    def held(self, rng: random.Random) -> float:
        """How long a session keeps the lock, in seconds."""
        return _MS * rng.uniform(0, self.held_ms)


BARRIER = Arrivals("barrier", 20, together=True, tries=200)
JITTER_20 = Arrivals("20 ms jitter", 20, together=False, tries=100)
JITTER_100 = Arrivals("100 ms jitter", 100, together=False, tries=100)
ARRIVALS = (BARRIER, JITTER_20, JITTER_100)
