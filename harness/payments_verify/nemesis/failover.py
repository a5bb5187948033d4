"""Failover: the primary is lost, and its synchronous standby takes its place."""

from __future__ import annotations

import asyncio

from payments_verify.nemesis.fault import Fault


class Failover(Fault):
    """The primary is lost."""

    name = "failover"
    about = (
        "a synchronous standby follows; the primary is stopped immediate, the standby promoted and connected"
    )
    side = "database"
    hold_s = (0.0, 1.0)

    _is_lost = False

    async def inject(self) -> None:
        """Make a standby, let captures wait for it for a while, and stop the primary."""
        await self.target.cluster.add_standby()
        await asyncio.sleep(self.rng.uniform(0.5, 1.0))
        # Nobody reaches the old primary any more, before it ends and after.
        self.target.network.open = False
        self.target.network.cut_all()
        self._is_lost = True
        await self.target.cluster.stop(immediate=True)

    async def heal(self) -> None:
        """Promote the standby, and let the service reach it."""
        if self._is_lost:
            await self.target.cluster.promote()
            self.target.network.upstream = self.target.cluster.address
            self.effects = 1
        self.target.network.open = True

    async def clear(self) -> bool:
        """Leave no standby behind if it came to nothing."""
        await self.target.cluster.drop_standby()
        return False
