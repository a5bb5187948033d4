"""Faults of the service's processes, and of the clock of the host that they run on."""

from __future__ import annotations

import asyncio
import signal
from email.utils import parsedate_to_datetime
from pathlib import Path

from payments_verify.nemesis import shifted_clock
from payments_verify.nemesis.fault import Fault
from payments_verify.systems import ApiProcess
from pgweave.service.http_client import http_client

_ASKED_S = 10.0
_ROUGHLY_S = 120


class Killed(Fault):
    """A process is killed."""

    name = "API killed"
    about = "a process of the service gets SIGKILL under load, and is started again"
    side = "service"
    hold_s = (0.0, 1.0)

    async def inject(self) -> None:
        """Kill one."""
        self._api = self.rng.choice(self.deployment.apis)
        self._api.signal(signal.SIGKILL)
        self.effects = int(await self._api.ended() == -signal.SIGKILL)

    async def heal(self) -> None:
        """Start it."""
        await self._api.start()


class AllKilled(Fault):
    """All of them are."""

    name = "all APIs killed"
    about = "every process of the service gets SIGKILL at once, and is started again"
    side = "service"
    hold_s = (0.0, 1.0)

    async def inject(self) -> None:
        """Kill them."""
        for api in self.deployment.apis:
            api.signal(signal.SIGKILL)
        codes = [await api.ended() for api in self.deployment.apis]
        self.effects = codes.count(-signal.SIGKILL)

    async def heal(self) -> None:
        """Start them."""
        await asyncio.gather(*(api.start() for api in self.deployment.apis))


class ToldToEnd(Fault):
    """A process is told to end, as for a new release."""

    name = "API terminated"
    about = "a process of the service gets SIGTERM under load, ends in order, and is started again"
    side = "service"
    hold_s = (0.0, 1.0)

    async def inject(self) -> None:
        """Tell one, and see that it ends by itself."""
        self._api = self.rng.choice(self.deployment.apis)
        self._api.signal(signal.SIGTERM)
        self.effects = 1
        if code := await self._api.ended():
            self.findings.append(f"I9: a process that was told to end ended with {code}, and not in order")

    async def heal(self) -> None:
        """Start it."""
        await self._api.start()


class Suspended(Fault):
    """A process does not get the processor for a while, its sessions stay, and may hold locks."""

    name = "API suspended"
    about = "a process of the service is stopped by SIGSTOP for seconds, and continued"
    side = "service"
    hold_s = (0.5, 4.0)

    async def inject(self) -> None:
        """Stop one."""
        self._api = self.rng.choice(self.deployment.apis)
        self._api.signal(signal.SIGSTOP)
        self.effects = 1

    async def heal(self) -> None:
        """Let it go on."""
        self._api.signal(signal.SIGCONT)


class HostClockOff(Fault):
    """The clock of a process's host is wrong."""

    name = "API clock off"
    about = "a process of the service runs on a host whose clock is off by hours, forward or back"
    side = "service"
    hold_s = (1.0, 2.5)

    async def inject(self) -> None:
        """Start one again with a clock that is off; its own answers have to say so."""
        self._api = self.rng.choice(self.deployment.apis)
        await self._api.end()
        shift = self.rng.choice([-1, 1]) * self.rng.randint(1, 12) * 3600
        await self._api.start((str(Path(shifted_clock.__file__)), str(shift)))
        async with http_client(limit_s=_ASKED_S) as http:
            date = (await http.get(f"{self._api.url}/healthz")).headers["Date"]
            right = (await http.get(f"{self._other().url}/healthz")).headers["Date"]
        seen = (parsedate_to_datetime(date) - parsedate_to_datetime(right)).total_seconds()
        self.effects = int(abs(seen - shift) < _ROUGHLY_S)

    async def heal(self) -> None:
        """Start it again with the right one."""
        await self._api.end()
        await self._api.start()

    def _other(self) -> ApiProcess:
        return next(api for api in self.deployment.apis if api is not self._api)
