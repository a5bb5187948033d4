"""A fault: something that happens to the system, lasts for a while, and is put right again."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeAlias

from payments_verify.nemesis.deployment import Deployment

Side: TypeAlias = Literal["database", "service"]
"""Where a fault strikes. Two faults that strike at different sides may be in force together."""


class Fault(ABC):
    """One fault that is going to happen once.

    It is injected, held for a while, healed, and put away. Whatever of this has begun ends within a limit;
    healing and putting away happen even if the injection did not come to its end.

    Attributes:
        name: what it is called.
        about: what it does, for people.
        side: where it strikes.
        hold_s: between which times it lasts, in seconds.
        effects: how often it has struck: connections cut, sessions ended, errors raised...; a fault that did
            not strike is not counted as injected.
        findings: what the service did as it struck, and may not do.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    side: ClassVar[Side]
    hold_s: ClassVar[tuple[float, float]] = (0.5, 1.2)

    def __init__(self, deployment: Deployment, rng: random.Random) -> None:
        self.deployment = deployment
        self.rng = rng
        self.effects = 0
        self.findings: list[str] = []

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot happen on this machine; ``None`` if it can."""
        return None

    @abstractmethod
    async def inject(self) -> None:
        """Let it happen."""

    async def hold(self, seconds: float) -> None:
        """Let it last."""
        await asyncio.sleep(seconds)

    async def heal(self) -> None:  # noqa: B027 - most faults have nothing to heal
        """Put right what does not right itself; from here on the service has to recover."""

    async def clear(self) -> bool:
        """Put away what the fault needed, once the service has recovered; whether that disturbed it."""
        return False
