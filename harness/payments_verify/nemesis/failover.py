"""Failover: the primary is lost, and its synchronous standby takes its place."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

from payments_verify.nemesis.database_faults import SESSIONS, count_of
from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.network import Network
from payments_verify.systems import SERVICE_LOGIN

_WAITING_S = 0.5
_ROUNDS = 5
_BEAT_S = 0.05


class Failover(Fault):
    """The primary is lost."""

    name = "failover"
    about = "a synchronous standby follows; the primary is stopped immediate, the standby promoted"
    side = "database"
    hold_s = (0.0, 1.0)

    _is_lost = False

    def __init__(self, deployment: Deployment, rng: random.Random) -> None:
        super().__init__(deployment, rng)
        self._stack = AsyncExitStack()

    async def inject(self) -> None:
        """Make a standby, let captures wait for it for a while, and stop the primary."""
        cluster = self.deployment.cluster
        self._replication = await self._stack.enter_async_context(Network.between(cluster.address))
        await cluster.add_standby(self._replication.port)
        await asyncio.sleep(self.rng.uniform(0.5, 1.0))
        await self._before_the_end()
        # Nobody reaches the old primary any more, before it ends and after.
        self.deployment.network.open = False
        self.deployment.network.cut_all()
        self._is_lost = True
        await cluster.stop(immediate=True)

    async def _before_the_end(self) -> None:
        """What else happens while the primary lives."""

    async def heal(self) -> None:
        """Promote the standby, and let the service reach it."""
        if self._is_lost:
            self._replication.cut_all()
            await self.deployment.cluster.promote()
            self.deployment.network.upstream = self.deployment.cluster.address
            self._struck()
        self.deployment.network.open = True

    def _struck(self) -> None:
        self.effects = 1

    async def clear(self) -> bool:
        """Leave no standby behind if it came to nothing."""
        await self._stack.aclose()
        await self.deployment.cluster.drop_standby()
        return False


class FailoverBehind(Failover):
    """The standby lags at the end, and an administrator cancels those who wait for it.

    PostgreSQL answers such a COMMIT with success, and a warning: it is committed here, and maybe only here.
    """

    name = "failover behind"
    about = "as failover; before it the standby hears nothing, and commits that wait for it are cancelled"

    _cancelled = 0

    async def inject(self) -> None:
        """As before, but nobody creates the same twice at once: the second would wait for no standby."""
        self.deployment.habits.stay = True
        await super().inject()

    async def _before_the_end(self) -> None:
        """Cancel those who wait. Nobody else may ask: reads would show what the standby does not have."""
        self._replication.stalled = True
        await asyncio.sleep(_WAITING_S)
        self.deployment.network.is_deaf = True
        await asyncio.sleep(_BEAT_S)
        waiting = f"SELECT pg_cancel_backend(pid) AS done {SESSIONS} AND wait_event = 'SyncRep'"
        query = f"SELECT count(*) FROM ({waiting}) AS cancelled WHERE done"  # noqa: S608 - constants
        async with self.deployment.cluster.connect() as connection:
            for _ in range(_ROUNDS):
                self._cancelled += await count_of(connection, query, SERVICE_LOGIN)
                await asyncio.sleep(_BEAT_S)

    async def heal(self) -> None:
        """As before, and hear the service again."""
        self.deployment.habits.stay = False
        self.deployment.network.is_deaf = False
        await super().heal()

    def _struck(self) -> None:
        self.effects = self._cancelled
