"""Faults on the way between the service and its database."""

from __future__ import annotations

import asyncio

from payments_verify.nemesis.fault import Fault

_BEAT_S = 0.05


class _Cuts(Fault):
    """Strikes again and again while it lasts."""

    side = "service"

    async def inject(self) -> None:
        """Count from here."""
        self._before = self.deployment.network.cuts

    async def hold(self, seconds: float) -> None:
        """Strike at every beat."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            self.strike()
            await asyncio.sleep(self.rng.uniform(0, 2 * _BEAT_S))

    def strike(self) -> None:
        """Arm the network once."""

    async def heal(self) -> None:
        """Disarm it, and see how often it struck."""
        network = self.deployment.network
        network.cut_requests = network.halve_requests = network.lose_commits = 0
        self.effects = network.cuts - self._before


class CutBefore(_Cuts):
    """The statement is lost, with its connection."""

    name = "cut before"
    about = "connections are cut before a statement reaches the server"

    def strike(self) -> None:
        """The next message is lost."""
        self.deployment.network.cut_requests = 1


class HalfSent(_Cuts):
    """Half of the statement arrives."""

    name = "half sent"
    about = "connections are cut in the middle of a message"

    def strike(self) -> None:
        """The next message is halved."""
        self.deployment.network.halve_requests = 1


class LostCommit(_Cuts):
    """The ambiguous commit."""

    name = "commit unheard"
    about = "the server commits, and the connection is cut before its answer arrives"

    def strike(self) -> None:
        """The next answer to a COMMIT is lost."""
        self.deployment.network.lose_commits = 1


class CutAll(_Cuts):
    """Every connection at once."""

    name = "all cut"
    about = "all connections to the database are cut at once, a few times"

    def strike(self) -> None:
        """Cut what is there."""
        if self.rng.random() < 0.2:
            self.deployment.network.cut_all()


class Partition(Fault):
    """Nothing reaches the database, and nobody is told."""

    name = "partition"
    about = "nothing moves between service and database for seconds; then all connections are cut"
    side = "service"
    hold_s = (1.0, 4.0)

    async def inject(self) -> None:
        """Stop everything where it is."""
        self.deployment.network.stalled = True
        self.effects = 1

    async def heal(self) -> None:
        """Cut what has hung, and let new connections through."""
        self.deployment.network.cut_all()
        self.deployment.network.resume()


class BlackHole(Fault):
    """As when a router forgets its connections."""

    name = "black hole"
    about = "what is sent on open connections is swallowed for good, and nobody is told; new ones work"
    side = "service"
    hold_s = (0.1, 0.5)

    async def inject(self) -> None:
        """Swallow everything on the connections of now."""
        self.effects = self.deployment.network.deaden()


class Stall(Fault):
    """As before, but what was on the way arrives in the end."""

    name = "stall"
    about = "nothing moves between service and database for a while; then all of it arrives"
    side = "service"
    hold_s = (0.5, 2.5)

    async def inject(self) -> None:
        """Stop everything where it is."""
        self.deployment.network.stalled = True
        self.effects = 1

    async def heal(self) -> None:
        """Let it go on."""
        self.deployment.network.resume()


class Refused(Fault):
    """Nobody gets through to the database."""

    name = "refused"
    about = "connections to the database are cut and refused for seconds"
    side = "service"
    hold_s = (0.5, 4.0)

    async def inject(self) -> None:
        """Close the way."""
        self.deployment.network.open = False
        self.effects = self.deployment.network.cut_all()

    async def heal(self) -> None:
        """Open it."""
        self.deployment.network.open = True


class Outage(Refused):
    """Nobody gets through for longer than anybody waits."""

    name = "long outage"
    about = "connections to the database are cut and refused for 10 to 15 s"
    hold_s = (10.0, 15.0)


class Delay(Fault):
    """Everything takes longer."""

    name = "delay"
    about = "every message between service and database takes 20 to 80 ms longer"
    side = "service"

    async def inject(self) -> None:
        """Slow it down."""
        self.deployment.network.delay_s = self.rng.uniform(0.02, 0.08)
        self.effects = 1

    async def heal(self) -> None:
        """As before; what is on the way keeps its time and its order."""
        self.deployment.network.delay_s = 0.0
