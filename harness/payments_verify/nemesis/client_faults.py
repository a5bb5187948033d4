"""Faults of the clients: they do not wait for answers, or ask again before they have one."""

from __future__ import annotations

from payments_verify.nemesis.fault import Fault


class Disconnecting(Fault):
    """Clients leave."""

    name = "clients leave"
    about = "every third request's client closes the connection within 10 ms"
    side = "service"

    async def inject(self) -> None:
        """From now on."""
        self._usual = self.deployment.habits.disconnect
        self._before = self._count()
        self.deployment.habits.disconnect = 0.35

    async def heal(self) -> None:
        """As before."""
        self.deployment.habits.disconnect = self._usual
        self.effects = self._count() - self._before

    def _count(self) -> int:
        return 0 if self.deployment.load is None else self.deployment.load.tally.disconnects


class TooEarly(Fault):
    """Clients ask again at once."""

    name = "early retries"
    about = "most captures are sent again, with their key, before the first answer came"
    side = "service"

    async def inject(self) -> None:
        """From now on."""
        self._usual = self.deployment.habits.early
        self._before = self._count()
        self.deployment.habits.early = 0.8

    async def heal(self) -> None:
        """As before."""
        self.deployment.habits.early = self._usual
        self.effects = self._count() - self._before

    def _count(self) -> int:
        return 0 if self.deployment.load is None else self.deployment.load.tally.early
